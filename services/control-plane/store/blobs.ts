import type { Readable } from "node:stream";

export interface BlobPart {
  /** From 1. */
  number: number;
  etag: string;
  sizeBytes: number;
}

/** Where large things lie: an S3 server, or a folder. Keys contain organization, build and lease; nothing is shared. */
export interface BlobStore {
  /** `s3` hands out signed addresses; `files` takes and gives bytes through the control plane. */
  readonly kind: "s3" | "files";
  /** Stores a whole object, of that size where it is known; readers see all of it or nothing. */
  put(key: string, body: Buffer | Readable, sizeBytes: number | undefined, mediaType?: string): Promise<void>;
  /** Bytes of an object, or of a range of it. Throws BlobMissing. */
  get(key: string, range?: { offset: number; length: number }): Promise<Readable>;
  /** Size of an object, or undefined when it isn't there. */
  head(key: string): Promise<{ sizeBytes: number } | undefined>;
  /** Stores a small object only where there is none; answers whether it did. Of many that race, one wins. */
  create(key: string, body: Buffer): Promise<boolean>;
  delete(key: string): Promise<void>;
  list(prefix: string): AsyncIterable<{ key: string; sizeBytes: number; modifiedAt: Date }>;
  /** Says in one clear line what is wrong with the store, or resolves. For start and readiness. */
  check(): Promise<void>;

  /** Only of `s3`: addresses to PUT and GET, and the life of an upload in parts, be it only one. */
  signed?: {
    get(key: string, expirySeconds: number, fileName: string, mediaType: string): Promise<string>;
    beginParts(key: string, mediaType: string): Promise<string>;
    putPart(key: string, uploadId: string, number: number, expirySeconds: number): Promise<string>;
    /** Throws BlobMissing for an upload that the store does not know any more. */
    listParts(key: string, uploadId: string): Promise<BlobPart[]>;
    /** Throws PartsRefused when the store has other parts than these. */
    completeParts(key: string, uploadId: string, parts: { number: number; etag: string }[]): Promise<void>;
    abortParts(key: string, uploadId: string): Promise<void>;
    /** Uploads that were begun and neither completed nor aborted. */
    listUploads(prefix: string): AsyncIterable<UnfinishedUpload>;
  };
  /** Only of `files`: an upload that grows by appending and can go on after a break. */
  growing?: {
    size(key: string): Promise<number>;
    append(key: string, offset: number, body: AsyncIterable<Uint8Array>): Promise<number>;
    finish(key: string): Promise<void>;
    drop(key: string): Promise<void>;
    /** Uploads that have not become an object. */
    list(prefix: string): AsyncIterable<{ key: string; modifiedAt: Date }>;
    /** Removes what was being written when a replica died, before that time. */
    dropUnwritten(before: Date): Promise<void>;
  };
}

export interface UnfinishedUpload {
  key: string;
  uploadId: string;
  begunAt: Date;
}

export class BlobMissing extends Error {
  override readonly name = "BlobMissing";
  constructor(key: string) {
    super(`the object store has nothing at ${key}`);
  }
}

/** The store does not make an object of these parts; they have to be sent again. */
export class PartsRefused extends Error {
  override readonly name = "PartsRefused";
  constructor(key: string, cause: unknown) {
    super(`the object store does not take the parts of ${key}`, { cause });
  }
}

const KEY = /^(?!.*(?:^|\/)\.{1,2}(?:\/|$))[A-Za-z0-9._-]+(?:\/[A-Za-z0-9._-]+)*$/;

/** Answers the key when it is one: names of plain characters with `/` between them, none of them `.` or `..`. */
export function checkKey(key: string): string {
  if (key.length > 900 || !KEY.test(key)) throw new Error(`${JSON.stringify(key)} can't be a key in the object store`);
  return key;
}
