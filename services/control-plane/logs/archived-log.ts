import { buffer } from "node:stream/consumers";
import { Refusal } from "../../process/refusal.ts";
import { BlobMissing, type BlobStore } from "../store/blobs.ts";
import type { LogFacts } from "./find-log.ts";
import { type ArchivedFrame, type ArchiveIndex, archiveKeys, unpackIndex } from "./log-archive.ts";
import type { LogPiece, LogSource, MarkedPiece } from "./log-source.ts";
import { CODEC } from "./unpack-chunk.ts";

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

/** What lies beside the archive of a log. Errors: DATA_LOSS (ARCHIVE_DAMAGED). */
export async function readArchiveIndex(blobs: BlobStore, facts: LogFacts): Promise<ArchiveIndex> {
  const key = archiveKeys(facts).index;
  return unpackIndex(await mustRead(blobs, key));
}

async function readFrame(blobs: BlobStore, key: string, frame: ArchivedFrame): Promise<LogPiece> {
  const data = await mustRead(blobs, key, { offset: frame.at, length: frame.packedLength });
  return { ...placeOf(frame), codec: CODEC.zstd, data };
}

function placeOf({ start, rawLength, lines, linesBefore, marks }: ArchivedFrame): MarkedPiece {
  return { start, rawLength, lines, linesBefore, marks: Buffer.from(marks, "base64") };
}

async function mustRead(blobs: BlobStore, key: string, range?: { offset: number; length: number }): Promise<Buffer> {
  try {
    return await buffer(await blobs.get(key, range));
  } catch (reason) {
    if (!(reason instanceof BlobMissing)) throw reason;
    throw new Refusal(
      "data_loss",
      "ARCHIVE_DAMAGED",
      "the archived log is not in the store; tell who runs this server",
      {
        metadata: { key },
      },
    );
  }
}
