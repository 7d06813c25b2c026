import { buffer } from "node:stream/consumers";
import { Refusal } from "../../process/refusal.ts";
import { BlobMissing, type BlobStore } from "../store/blobs.ts";
import type { LogFacts } from "./find-log.ts";
import { type ArchivedFrame, type ArchiveIndex, archiveKeys, EMPTY_INDEX, unpackIndex } from "./log-archive.ts";
import type { LogPiece, LogSource, MarkedPiece } from "./log-source.ts";
import { CODEC, unpackChunk } from "./unpack-chunk.ts";

/** A log in the blob store. Errors: DATA_LOSS (ARCHIVE_DAMAGED) when its objects are gone. */
export async function archivedLog(blobs: BlobStore, facts: LogFacts): Promise<LogSource> {
  const index = await readArchiveIndex(blobs, facts);
  const key = archiveKeys(facts).bytes;
  return {
    bytes: index.bytes,
    lineEnds: index.lineEnds,
    async *pieces(from) {
      const first = index.frames.findIndex((frame) => frame.start + frame.rawLength > from);
      if (first < 0) return;
      for (const frame of index.frames.slice(first)) yield await readFrame(blobs, key, frame);
    },
    async pieceOfLineEnd(n) {
      return index.frames.find((frame) => frame.linesBefore + frame.lines >= n)?.start ?? 0;
    },
    async *marked() {
      for (const frame of index.frames) if (frame.marks !== "") yield placeOf(frame);
    },
  };
}

/** What lies beside the archive of a log; of a log without a byte nothing need lie there. Errors: DATA_LOSS (ARCHIVE_DAMAGED). */
export async function readArchiveIndex(blobs: BlobStore, facts: LogFacts): Promise<ArchiveIndex> {
  const key = archiveKeys(facts).index;
  return twice(key, async () => {
    const packed = await readIfThere(blobs, key);
    if (!packed && facts.bytes > 0) throw damaged(key, "is not in the store");
    return packed ? unpackIndex(packed) : EMPTY_INDEX;
  });
}

/** A frame's raw bytes. Each has a checksum: one that does not match is read once more before it is called damaged. */
async function readFrame(blobs: BlobStore, key: string, frame: ArchivedFrame): Promise<LogPiece> {
  const range = { offset: frame.at, length: frame.packedLength };
  const unpack = async () => unpackChunk(CODEC.zstd, await mustRead(blobs, key, range), frame.rawLength);
  const data = await twice(key, unpack);
  return { ...placeOf(frame), codec: CODEC.raw, data };
}

async function twice<T>(key: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run().catch((reason: unknown) => {
      if (reason instanceof Refusal) throw reason;
      return run();
    });
  } catch (reason) {
    throw reason instanceof Refusal ? reason : damaged(key, "is not what was put there");
  }
}

function placeOf({ start, rawLength, lines, linesBefore, marks }: ArchivedFrame): MarkedPiece {
  return { start, rawLength, lines, linesBefore, marks: Buffer.from(marks, "base64") };
}

async function mustRead(blobs: BlobStore, key: string, range: { offset: number; length: number }): Promise<Buffer> {
  const bytes = await readIfThere(blobs, key, range);
  if (!bytes) throw damaged(key, "is not in the store");
  return bytes;
}

async function readIfThere(blobs: BlobStore, key: string, range?: { offset: number; length: number }) {
  try {
    return await buffer(await blobs.get(key, range));
  } catch (reason) {
    if (reason instanceof BlobMissing) return undefined;
    throw reason;
  }
}

function damaged(key: string, what: string): Refusal {
  return new Refusal("data_loss", "ARCHIVE_DAMAGED", `the archived log ${what}; tell who runs this server`, {
    metadata: { key },
  });
}
