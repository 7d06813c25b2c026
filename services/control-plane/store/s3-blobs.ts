import type { IncomingMessage } from "node:http";
import { Readable } from "node:stream";
import type { Client } from "minio";
import { BlobMissing, type BlobStore, checkKey } from "./blobs.ts";
import { checkBucket } from "./check-bucket.ts";
import { isPassing, keepTrying } from "./keep-trying.ts";
import { resumingRead } from "./resuming-read.ts";
import { openS3Client, S3_PART_BYTES, type S3Settings } from "./s3-client.ts";
import { isMissing } from "./s3-faults.ts";
import { signedAddresses } from "./s3-uploads.ts";

/**
 * An S3 server as the blob store. Nothing is asked of it before the first use. What may be repeated is, a few times;
 * what then still fails is the caller's to try again later.
 */
export function openS3Blobs(settings: S3Settings): BlobStore {
  const { bucket } = settings;
  const client = openS3Client(settings, settings.endpoint);
  // Signing needs no connection, only the name that the other side knows the server by.
  const signer = settings.publicEndpoint ? openS3Client(settings, settings.publicEndpoint) : client;
  return {
    kind: "s3",
    async put(key, body, sizeBytes, mediaType = "application/octet-stream") {
      await putObject(client, bucket, checkKey(key), await startOf(body), sizeBytes, { "content-type": mediaType });
    },
    create: (key, body) => createObject(client, bucket, checkKey(key), body),
    async get(key, range) {
      checkKey(key);
      if (range?.length === 0) return Readable.from([]);
      const open = async (offset: number, length: number | undefined) =>
        openedRead(
          offset === 0 && length === undefined
            ? await client.getObject(bucket, key)
            : await client.getPartialObject(bucket, key, offset, length),
        );
      return orMissing(key, () => resumingRead(open, range?.offset ?? 0, range?.length));
    },
    async head(key) {
      try {
        return { sizeBytes: (await keepTrying(() => client.statObject(bucket, checkKey(key)))).size };
      } catch (reason) {
        if (isMissing(reason)) return undefined;
        throw reason;
      }
    },
    delete: (key) => keepTrying(() => client.removeObject(bucket, checkKey(key))),
    list: (prefix) => listObjects(client, bucket, prefix),
    check: () => checkBucket(client, settings),
    signed: signedAddresses(client, signer, bucket),
  };
}

interface Page {
  objects: { name?: string; size?: number; lastModified?: string | Date }[];
  isTruncated: boolean;
  nextContinuationToken: string;
}

async function* listObjects(client: Client, bucket: string, prefix: string) {
  for (let token = ""; ; ) {
    const from = token;
    const page = (await keepTrying(() =>
      client.listObjectsV2Query(bucket, prefix, from, "", 1_000, ""),
    )) as unknown as Page;
    for (const { name = "", size = 0, lastModified } of page.objects) {
      yield { key: name, sizeBytes: size, modifiedAt: new Date(lastModified ?? 0) };
    }
    if (!page.isTruncated || page.nextContinuationToken === "") return;
    token = page.nextContinuationToken;
  }
}

function openedRead(body: Readable) {
  const { headers } = body as IncomingMessage;
  return { body, length: Number(headers["content-length"]), etag: headers.etag };
}

/** A whole body where it is no larger than a part, so that it is one request that may be repeated; else the stream. */
async function startOf(body: Buffer | Readable): Promise<Buffer | Readable> {
  if (Buffer.isBuffer(body)) return body;
  const reading = body[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  const held: Buffer[] = [];
  for (let size = 0; size <= S3_PART_BYTES; ) {
    const next = await reading.next();
    if (next.done) return Buffer.concat(held);
    held.push(Buffer.from(next.value));
    size += next.value.length;
  }
  return Readable.from(
    (async function* () {
      yield* held;
      for (let next = await reading.next(); !next.done; next = await reading.next()) yield next.value;
    })(),
    { objectMode: false },
  );
}

async function putObject(
  client: Client,
  bucket: string,
  key: string,
  body: Buffer | Readable,
  sizeBytes: number | undefined,
  headers: Record<string, string>,
): Promise<void> {
  if (!Buffer.isBuffer(body)) {
    await client.putObject(bucket, key, body, sizeBytes, headers);
    return;
  }
  if (sizeBytes !== undefined && body.length !== sizeBytes)
    throw new Error(`${key} was ${body.length} bytes, not ${sizeBytes}`);
  // A Buffer over the part size would go up as one part; a stream is cut.
  const cut = () => (body.length > S3_PART_BYTES ? Readable.from(slices(body)) : body);
  await keepTrying(() => client.putObject(bucket, key, cut(), body.length, headers));
}

/** Of many that create one key, one wins: where the server knows `If-None-Match`, which both that we test against do. */
async function createObject(client: Client, bucket: string, key: string, body: Buffer): Promise<boolean> {
  return keepTrying(async (tried) => {
    try {
      await client.putObject(bucket, key, body, body.length, { "if-none-match": "*" });
      return true;
    } catch (reason) {
      const code = (reason as { code?: unknown }).code;
      if (code !== "PreconditionFailed" && code !== "ConditionalRequestConflict") throw reason;
      // The one that is there may be our own, whose answer was lost.
      return tried > 0 && (await bytesAt(client, bucket, key)).equals(body);
    }
  });
}

async function bytesAt(client: Client, bucket: string, key: string): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const bytes of await client.getObject(bucket, key)) parts.push(bytes as Buffer);
  return Buffer.concat(parts);
}

async function orMissing<T>(key: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (reason) {
    throw isMissing(reason) && !isPassing(reason) ? new BlobMissing(key) : reason;
  }
}

function* slices(body: Buffer): Generator<Buffer> {
  for (let at = 0; at < body.length; at += S3_PART_BYTES) yield body.subarray(at, at + S3_PART_BYTES);
}
