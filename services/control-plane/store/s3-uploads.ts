import type { Client } from "minio";
import { BlobMissing, type BlobPart, type BlobStore, checkKey, PartsRefused, type UnfinishedUpload } from "./blobs.ts";
import { contentDisposition } from "./content-disposition.ts";
import { keepTrying } from "./keep-trying.ts";
import { isMissing, toError } from "./s3-faults.ts";

const PARTS_REFUSED = new Set(["InvalidPart", "InvalidPartOrder", "EntityTooSmall", "NoSuchUpload", "MalformedXML"]);

/** The client's own, which its types keep to themselves. */
interface Parts {
  listParts(bucket: string, key: string, uploadId: string): Promise<{ part: number; etag: string; size: number }[]>;
  listIncompleteUploadsQuery(
    bucket: string,
    prefix: string,
    keyMarker: string,
    uploadIdMarker: string,
    delimiter: string,
  ): Promise<{
    uploads: { key: string; uploadId: string; initiated: string | Date }[];
    isTruncated: boolean;
    nextKeyMarker: string;
    nextUploadIdMarker: string;
  }>;
}

/**
 * Addresses that others PUT to and GET from, and the life of an upload. What is PUT is always a part of an upload,
 * never an object: when the upload is completed its addresses end, whatever the server, and the object stays as it is.
 */
export function signedAddresses(client: Client, signer: Client, bucket: string): NonNullable<BlobStore["signed"]> {
  const parts = client as unknown as Parts;
  return {
    get: (key, expirySeconds, fileName, mediaType) =>
      signer.presignedUrl("GET", bucket, checkKey(key), expirySeconds, {
        "response-content-disposition": contentDisposition(fileName),
        "response-content-type": mediaType,
      }),
    beginParts: (key, mediaType) =>
      keepTrying(() => client.initiateNewMultipartUpload(bucket, checkKey(key), { "content-type": mediaType })),
    putPart: (key, uploadId, number, expirySeconds) =>
      signer.presignedUrl("PUT", bucket, checkKey(key), expirySeconds, { uploadId, partNumber: String(number) }),
    listParts: (key, uploadId) => listParts(parts, bucket, key, uploadId),
    completeParts: (key, uploadId, given) => completeParts(client, bucket, key, uploadId, given),
    async abortParts(key, uploadId) {
      await keepTrying(() => client.abortMultipartUpload(bucket, checkKey(key), uploadId)).catch((reason: unknown) => {
        if (!isMissing(reason)) throw reason;
      });
    },
    listUploads: (prefix) => listUploads(parts, bucket, prefix),
  };
}

async function completeParts(
  client: Client,
  bucket: string,
  key: string,
  uploadId: string,
  parts: { number: number; etag: string }[],
): Promise<void> {
  const inOrder = parts.toSorted((a, b) => a.number - b.number).map(({ number, etag }) => ({ part: number, etag }));
  await keepTrying(async (tried) => {
    try {
      // Throws for an error in the body of a 200 too.
      const { etag } = await client.completeMultipartUpload(bucket, checkKey(key), uploadId, inOrder);
      if (!etag) throw Object.assign(new Error("the answer names no object"), { code: "InternalError" });
    } catch (reason) {
      const error = toError(reason);
      // The first time may have done it and its answer was lost. What is there is read and compared by who asked.
      if (tried > 0 && error.code === "NoSuchUpload" && (await isThere(client, bucket, key))) return;
      throw PARTS_REFUSED.has(error.code) ? new PartsRefused(key, error) : error;
    }
  });
}

async function isThere(client: Client, bucket: string, key: string): Promise<boolean> {
  try {
    await client.statObject(bucket, key);
    return true;
  } catch (reason) {
    if (isMissing(reason)) return false;
    throw reason;
  }
}

async function listParts(client: Parts, bucket: string, key: string, uploadId: string): Promise<BlobPart[]> {
  try {
    const parts = await keepTrying(() => client.listParts(bucket, checkKey(key), uploadId));
    return parts.map(({ part, etag, size }) => ({ number: part, etag, sizeBytes: size }));
  } catch (reason) {
    throw isMissing(reason) ? new BlobMissing(`${key} (upload ${uploadId})`) : reason;
  }
}

async function* listUploads(client: Parts, bucket: string, prefix: string): AsyncGenerator<UnfinishedUpload> {
  for (let keyMarker = "", uploadIdMarker = ""; ; ) {
    const from = [keyMarker, uploadIdMarker] as const;
    const page = await keepTrying(() => client.listIncompleteUploadsQuery(bucket, prefix, ...from, ""));
    for (const { key, uploadId, initiated } of page.uploads) yield { key, uploadId, begunAt: new Date(initiated) };
    if (!page.isTruncated || page.nextKeyMarker === "") return;
    [keyMarker, uploadIdMarker] = [page.nextKeyMarker, page.nextUploadIdMarker];
  }
}
