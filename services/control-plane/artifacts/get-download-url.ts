import { posix } from "node:path";
import type { BlobStore } from "../store/blobs.ts";
import { DOWNLOAD_EXPIRY_SECONDS } from "./artifact-limits.ts";
import type { ArtifactRow } from "./artifact-row.ts";
import type { DownloadSigner } from "./sign-download.ts";

/** An address to GET an artifact from without a token, and when it ends. */
export async function getDownloadUrl(
  { blobs, signer, url }: { blobs: BlobStore; signer: DownloadSigner; url: string },
  artifact: ArtifactRow,
): Promise<{ url: string; expiresAtMs: number }> {
  const expiresAtMs = Date.now() + DOWNLOAD_EXPIRY_SECONDS * 1000;
  const signed = blobs.signed
    ? await blobs.signed.get(artifact.key, DOWNLOAD_EXPIRY_SECONDS, posix.basename(artifact.path), artifact.mediaType)
    : `${url}${await signer.sign(artifact.id, expiresAtMs)}`;
  return { url: signed, expiresAtMs };
}
