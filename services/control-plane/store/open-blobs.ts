import type { Config } from "../config.ts";
import type { BlobStore } from "./blobs.ts";
import { openFileBlobs } from "./file-blobs.ts";
import { openS3Blobs } from "./s3-blobs.ts";
import { tellStoreFaults } from "./tell-store-faults.ts";

type BlobConfig = Pick<
  Config,
  | "blobDir"
  | "s3Endpoint"
  | "s3Region"
  | "s3Bucket"
  | "s3AccessKeyId"
  | "s3SecretAccessKey"
  | "s3PathStyle"
  | "s3PublicEndpoint"
>;

/**
 * Opens the blob store that the settings name: an S3 server, or a folder. Throws one line that says what is missing
 * when they name both, none, or half of one.
 */
export function openBlobs(config: BlobConfig): BlobStore {
  const { blobDir, s3Endpoint, s3Bucket, s3AccessKeyId, s3SecretAccessKey } = config;
  const needed = {
    RITMO_S3_ENDPOINT: s3Endpoint,
    RITMO_S3_BUCKET: s3Bucket,
    RITMO_S3_ACCESS_KEY_ID: s3AccessKeyId,
    RITMO_S3_SECRET_ACCESS_KEY: s3SecretAccessKey,
  };
  const missing = Object.entries(needed).flatMap(([name, value]) => (value === undefined ? [name] : []));
  const s3Begun = missing.length < Object.keys(needed).length || config.s3PublicEndpoint !== undefined;
  if (s3Begun && blobDir !== undefined) {
    throw new Error("RITMO_BLOB_DIR and RITMO_S3_* are both set; logs and artifacts lie in one place, so remove one.");
  }
  if (blobDir !== undefined) return tellStoreFaults(openFileBlobs(blobDir));
  if (!s3Begun)
    throw new Error("Neither RITMO_BLOB_DIR nor RITMO_S3_ENDPOINT is set; say where logs and artifacts go.");
  if (missing.length > 0) {
    throw new Error(`RITMO_S3_* is half set; ${missing.join(", ")} ${missing.length > 1 ? "are" : "is"} missing.`);
  }
  const s3 = openS3Blobs({
    endpoint: s3Endpoint as string,
    publicEndpoint: config.s3PublicEndpoint,
    region: config.s3Region,
    bucket: s3Bucket as string,
    accessKeyId: s3AccessKeyId as string,
    secretAccessKey: s3SecretAccessKey as string,
    pathStyle: config.s3PathStyle,
  });
  return tellStoreFaults(s3);
}
