import http from "node:http";
import https from "node:https";
import { Readable } from "node:stream";
import { Client } from "minio";
import { BlobMissing, type BlobPart, type BlobStore, checkKey, PartsRefused } from "./blobs.ts";
import { checkBucket } from "./check-bucket.ts";
import { contentDisposition } from "./content-disposition.ts";

export interface S3Settings {
  endpoint: string;
  /** The same server's address for browsers and workers, where it differs. */
  publicEndpoint: string | undefined;
  region: string;
  bucket: string;
  accessKeyId: string;
  secretAccessKey: string;
  pathStyle: boolean;
}

// The client holds one part in memory, and takes a part of ~525 MiB for a stream of unknown size unless told.
const PART_BYTES = 8 * 1024 * 1024;
const SILENCE_MS = 30_000;
const PARTS_REFUSED = new Set(["InvalidPart", "InvalidPartOrder", "EntityTooSmall", "NoSuchUpload", "MalformedXML"]);

/** The client's own, which its types keep to themselves. */
interface Parts {
  listParts(bucket: string, key: string, uploadId: string): Promise<{ part: number; etag: string; size: number }[]>;
}

/** An S3 server as the blob store. Nothing is asked of it before the first use. */
export function openS3Blobs(settings: S3Settings): BlobStore {
  const { bucket } = settings;
  const client = openClient(settings, settings.endpoint);
  // Signing needs no connection, only the name that the other side knows the server by.
  const signer = settings.publicEndpoint ? openClient(settings, settings.publicEndpoint) : client;
  return {
    kind: "s3",
    async put(key, body, sizeBytes, mediaType = "application/octet-stream") {
      // A Buffer over the part size would go up as one part; a stream is cut.
      const stream = Buffer.isBuffer(body) && body.length > PART_BYTES ? Readable.from(slices(body)) : body;
      await client.putObject(bucket, checkKey(key), stream, sizeBytes, { "content-type": mediaType });
    },
    async get(key, range) {
      if (range?.length === 0) return Readable.from([]);
      return orMissing(key, () =>
        range
          ? client.getPartialObject(bucket, checkKey(key), range.offset, range.length)
          : client.getObject(bucket, checkKey(key)),
      );
    },
    async head(key) {
      try {
        return { sizeBytes: (await client.statObject(bucket, checkKey(key))).size };
      } catch (reason) {
        if (isMissing(reason)) return undefined;
        throw reason;
      }
    },
    delete: (key) => client.removeObject(bucket, checkKey(key)),
    async *list(prefix) {
      for await (const found of client.listObjectsV2(bucket, prefix, true)) {
        yield { key: found.name as string, sizeBytes: found.size as number };
      }
    },
    check: () => checkBucket(client, settings),
    signed: signedAddresses(client, signer, bucket),
  };
}

/** Addresses that others PUT to and GET from, and the life of an upload in parts. */
function signedAddresses(client: Client, signer: Client, bucket: string): NonNullable<BlobStore["signed"]> {
  return {
    put: (key, _sizeBytes, expirySeconds) => signer.presignedUrl("PUT", bucket, checkKey(key), expirySeconds),
    get: (key, expirySeconds, fileName, mediaType) =>
      signer.presignedUrl("GET", bucket, checkKey(key), expirySeconds, {
        "response-content-disposition": contentDisposition(fileName),
        "response-content-type": mediaType,
      }),
    beginParts: (key, mediaType) =>
      client.initiateNewMultipartUpload(bucket, checkKey(key), { "content-type": mediaType }),
    putPart: (key, uploadId, number, expirySeconds) =>
      signer.presignedUrl("PUT", bucket, checkKey(key), expirySeconds, { uploadId, partNumber: String(number) }),
    listParts: (key, uploadId) => listParts(client as unknown as Parts, bucket, key, uploadId),
    async completeParts(key, uploadId, parts) {
      const inOrder = parts.toSorted((a, b) => a.number - b.number).map(({ number, etag }) => ({ part: number, etag }));
      try {
        // Throws for an error in the body of a 200 too.
        await client.completeMultipartUpload(bucket, checkKey(key), uploadId, inOrder);
      } catch (reason) {
        const error = toError(reason);
        throw PARTS_REFUSED.has(error.code) ? new PartsRefused(key, error) : error;
      }
    },
    async abortParts(key, uploadId) {
      await client.abortMultipartUpload(bucket, checkKey(key), uploadId).catch((reason: unknown) => {
        if (!isMissing(reason)) throw reason;
      });
    },
  };
}

function openClient(settings: S3Settings, endpoint: string): Client {
  const url = new URL(endpoint);
  const useSSL = url.protocol === "https:";
  return new Client({
    endPoint: url.hostname.replace(/^\[|\]$/g, ""),
    port: url.port === "" ? (useSSL ? 443 : 80) : Number(url.port),
    useSSL,
    accessKey: settings.accessKeyId,
    secretKey: settings.secretAccessKey,
    // Given, so that the client never asks for it.
    region: settings.region,
    pathStyle: settings.pathStyle,
    partSize: PART_BYTES,
    // It would tell of its retries on standard error; whoever calls tries again.
    retryOptions: { disableRetry: true },
    transport: impatient(useSSL),
  });
}

/** The client waits for ever on a server that says nothing; this gives up. */
function impatient(useSSL: boolean) {
  const request = useSSL ? https.request : http.request;
  return {
    request(options: http.RequestOptions | string | URL, answer?: (response: http.IncomingMessage) => void) {
      const sent = request(options as http.RequestOptions, answer);
      sent.setTimeout(SILENCE_MS, () =>
        sent.destroy(new Error(`the S3 server said nothing for ${SILENCE_MS / 1000} s`)),
      );
      return sent;
    },
  } as never;
}

async function listParts(client: Parts, bucket: string, key: string, uploadId: string): Promise<BlobPart[]> {
  try {
    const parts = await client.listParts(bucket, checkKey(key), uploadId);
    return parts.map(({ part, etag, size }) => ({ number: part, etag, sizeBytes: size }));
  } catch (reason) {
    throw isMissing(reason) ? new BlobMissing(`${key} (upload ${uploadId})`) : reason;
  }
}

async function orMissing<T>(key: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (reason) {
    throw isMissing(reason) ? new BlobMissing(key) : reason;
  }
}

function isMissing(reason: unknown): boolean {
  const code = (reason as { code?: unknown }).code;
  return code === "NoSuchKey" || code === "NotFound" || code === "NoSuchUpload";
}

/** The client throws what it read from the body of a 200 as it is. */
function toError(reason: unknown): Error & { code: string } {
  const { code, Code, message, Message } = reason as Record<string, unknown>;
  const error = reason instanceof Error ? reason : new Error(String(message ?? Message));
  return Object.assign(error, { code: String(code ?? Code) });
}

function* slices(body: Buffer): Generator<Buffer> {
  for (let at = 0; at < body.length; at += PART_BYTES) yield body.subarray(at, at + PART_BYTES);
}
