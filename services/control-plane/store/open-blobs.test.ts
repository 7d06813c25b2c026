import { expect, test } from "vitest";
import { openBlobs } from "./open-blobs.ts";

test("the settings choose one store, and half a choice is refused", () => {
  const none = {
    ...{ blobDir: undefined, s3Endpoint: undefined, s3Bucket: undefined, s3AccessKeyId: undefined },
    ...{ s3SecretAccessKey: undefined, s3PublicEndpoint: undefined, s3Region: "us-east-1", s3PathStyle: true },
  };
  const s3 = { s3Endpoint: "http://127.0.0.1:9", s3Bucket: "ritmo", s3AccessKeyId: "a", s3SecretAccessKey: "b" };
  expect(openBlobs({ ...none, blobDir: "/x" }).kind).toBe("files");
  expect(openBlobs({ ...none, ...s3 }).kind).toBe("s3");
  expect(() => openBlobs(none)).toThrow("Neither RITMO_BLOB_DIR nor RITMO_S3_ENDPOINT is set");
  expect(() => openBlobs({ ...none, ...s3, blobDir: "/x" })).toThrow("both set");
  expect(() => openBlobs({ ...none, s3Endpoint: s3.s3Endpoint })).toThrow(
    "RITMO_S3_BUCKET, RITMO_S3_ACCESS_KEY_ID, RITMO_S3_SECRET_ACCESS_KEY are missing",
  );
  expect(() => openBlobs({ ...none, ...s3, s3SecretAccessKey: undefined })).toThrow(
    "RITMO_S3_SECRET_ACCESS_KEY is missing",
  );
});
