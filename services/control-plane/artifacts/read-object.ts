import { createHash } from "node:crypto";
import { Refusal } from "../../process/refusal.ts";
import { BlobMissing, type BlobStore } from "../store/blobs.ts";

/** What was promised of a stored object. */
export interface StoredObject {
  key: string;
  path: string;
  sizeBytes: number;
  sha256: Buffer;
}

const MESSAGE_BYTES = 256 * 1024;

/**
 * Yields an object or a range of it (length 0: to the end) in messages of at most 256 KiB; an object without bytes is
 * one empty message. Errors: OUT_OF_RANGE (RANGE_PAST_END); DATA_LOSS (OBJECT_DAMAGED) when the store has something
 * else than promised, which a whole read finds out by its digest.
 */
export async function* readObject(
  blobs: BlobStore,
  object: StoredObject,
  range: { offset: number; length: number },
): AsyncGenerator<{ data: Buffer; offset: number }> {
  if (range.offset > object.sizeBytes) {
    throw new Refusal("out_of_range", "RANGE_PAST_END", `${object.path} has ${object.sizeBytes} bytes`, {
      metadata: { end: String(object.sizeBytes) },
    });
  }
  const rest = object.sizeBytes - range.offset;
  const length = range.length === 0 ? rest : Math.min(range.length, rest);
  const hash = length === object.sizeBytes ? createHash("sha256") : undefined;
  let at = range.offset;
  for await (const bytes of await open(blobs, object, { offset: range.offset, length })) {
    hash?.update(bytes);
    for (let i = 0; i < bytes.length; i += MESSAGE_BYTES) {
      const data = bytes.subarray(i, i + MESSAGE_BYTES);
      yield { data, offset: at };
      at += data.length;
    }
  }
  if (at !== range.offset + length || (hash && !hash.digest().equals(object.sha256))) throw damaged(object);
  if (length === 0) yield { data: Buffer.alloc(0), offset: at };
}

async function open(
  blobs: BlobStore,
  object: StoredObject,
  range: { offset: number; length: number },
): Promise<AsyncIterable<Buffer>> {
  if (range.length === 0) return (async function* () {})();
  try {
    return await blobs.get(object.key, range);
  } catch (reason) {
    throw reason instanceof BlobMissing ? damaged(object) : reason;
  }
}

/** The store does not have what was promised. */
export function damaged(object: StoredObject): Refusal {
  return new Refusal(
    "data_loss",
    "OBJECT_DAMAGED",
    `the stored ${object.path} is not what was promised; tell who runs this server`,
    { metadata: { key: object.key } },
  );
}
