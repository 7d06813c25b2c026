import { constants, zstdDecompressSync } from "node:zlib";

/** How bytes are packed; the numbers are the contract's and the table's. */
export const CODEC = { raw: 1, zstd: 2 } as const;
export type Codec = (typeof CODEC)[keyof typeof CODEC];

// A frame may ask its reader for a window of 128 MiB; ours never need more than this (2^23).
const MAX_WINDOW_LOG = 23;
// A little more than what is promised, so that the end is seen in one go.
const SPARE_BYTES = 64;

/**
 * The raw bytes of a chunk, of exactly the promised length. Never makes more than that of it, however small the
 * packed bytes are. Throws a RangeError when they are no such thing.
 */
export async function unpackChunk(codec: number, data: Uint8Array, rawLength: number): Promise<Buffer> {
  const packed = codec !== CODEC.raw && data.length > 0;
  const raw = !packed ? Buffer.from(data.buffer, data.byteOffset, data.byteLength) : inflate();
  if (raw.length !== rawLength) throw new RangeError(`the bytes are ${raw.length}, not ${rawLength} as promised`);
  return raw;

  // Of so few bytes it takes less time here than the way to another thread and back, in pieces of 16 KiB.
  function inflate(): Buffer {
    try {
      return zstdDecompressSync(data, {
        chunkSize: rawLength + SPARE_BYTES,
        maxOutputLength: Math.max(rawLength, 1),
        params: { [constants.ZSTD_d_windowLogMax]: MAX_WINDOW_LOG },
      });
    } catch (reason) {
      throw new RangeError(`the bytes are no zstd of ${rawLength} bytes`, { cause: reason });
    }
  }
}
