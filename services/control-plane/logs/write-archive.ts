import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import type { Mark } from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import type { BlobStore } from "../store/blobs.ts";
import { archivedLog } from "./archived-log.ts";
import { groupCollector } from "./collect-groups.ts";
import { countLineEnds } from "./count-lines.ts";
import type { LogFacts } from "./find-log.ts";
import {
  type ArchivedFrame,
  type ArchiveIndex,
  archiveKeys,
  FRAME_BYTES,
  packFrame,
  packIndex,
} from "./log-archive.ts";
import { packMarks, unpackMarks } from "./log-marks.ts";
import { bytesOf, type LogSource } from "./log-source.ts";

interface RawFrame {
  start: number;
  linesBefore: number;
  bytes: Buffer;
  marks: Uint8Array;
}

/**
 * Writes a log as frames of zstd and an index beside it, holding a few frames at a time, then reads everything back.
 * Answers the SHA-256 of the raw bytes in hex. Throws when the log has a gap, or the store gives back other bytes.
 */
export async function writeArchive(blobs: BlobStore, facts: LogFacts, source: LogSource): Promise<string> {
  const keys = archiveKeys(facts);
  const writer = frameWriter(source);
  if (facts.bytes > 0) {
    await blobs.put(keys.bytes, Readable.from(writer.packed()), undefined, "application/zstd");
  } else for await (const _ of writer.packed()); // Marks without bytes still belong into the index.
  const index = writer.index();
  if (index.bytes !== facts.bytes || index.lineEnds !== facts.lineEnds) {
    throw new Error(
      `the log has ${index.bytes} bytes in ${index.lineEnds} lines, not ${facts.bytes} in ${facts.lineEnds}`,
    );
  }
  const packed = await packIndex(index);
  await blobs.put(keys.index, packed, packed.length, "application/zstd");
  await readBack(blobs, facts, index);
  return index.sha256;
}

function frameWriter(source: LogSource) {
  const hash = createHash("sha256");
  const groups = groupCollector();
  const frames: ArchivedFrame[] = [];
  let lastByte = 10;
  const total = { bytes: 0, lineEnds: 0, at: 0 };
  return {
    async *packed(): AsyncGenerator<Buffer> {
      for await (const frame of framesOf(source)) {
        hash.update(frame.bytes);
        lastByte = frame.bytes.at(-1) ?? lastByte;
        const lines = countLineEnds(frame.bytes);
        const data = frame.bytes.length > 0 ? await packFrame(frame.bytes) : Buffer.alloc(0);
        const place = { start: frame.start, rawLength: frame.bytes.length, lines, linesBefore: frame.linesBefore };
        groups.add({ ...place, marks: frame.marks }, unpackMarks(frame.marks), frame.bytes);
        const marks = Buffer.from(frame.marks).toString("base64");
        frames.push({ ...place, at: total.at, packedLength: data.length, marks });
        total.bytes += frame.bytes.length;
        total.lineEnds += lines;
        total.at += data.length;
        if (data.length > 0) yield data;
      }
    },
    index(): ArchiveIndex {
      const { bytes, lineEnds } = total;
      return {
        ...{ version: 1, bytes, lineEnds, openLine: lastByte !== 10, sha256: hash.digest("hex") },
        ...{ frames, groups: groups.all },
      };
    },
  };
}

/** Cuts a log anew into frames of one size, so that every archiving of it makes the same bytes. */
async function* framesOf(source: LogSource): AsyncGenerator<RawFrame> {
  let start = 0;
  let linesBefore = 0;
  let parts: Buffer[] = [];
  let marks: Mark[] = [];
  let held = 0;
  const close = (): RawFrame => {
    const frame = { start, linesBefore, bytes: Buffer.concat(parts), marks: packMarks(marks) };
    start += held;
    linesBefore += countLineEnds(frame.bytes);
    [parts, marks, held] = [[], [], 0];
    return frame;
  };
  for await (const piece of source.pieces(0)) {
    if (piece.start !== start + held) throw new Error(`the log has a gap before ${piece.start}`);
    let rest = await bytesOf(piece);
    let later = unpackMarks(piece.marks);
    while (held + rest.length >= FRAME_BYTES) {
      const taken = FRAME_BYTES - held;
      const cut = BigInt(start + FRAME_BYTES);
      parts.push(rest.subarray(0, taken));
      held += taken;
      marks.push(...later.filter((mark) => mark.offset < cut));
      later = later.filter((mark) => mark.offset >= cut);
      rest = rest.subarray(taken);
      yield close();
    }
    parts.push(rest);
    held += rest.length;
    marks.push(...later);
  }
  if (held > 0 || marks.length > 0) yield close();
}

/** What can't be read back was not written. */
async function readBack(blobs: BlobStore, facts: LogFacts, index: ArchiveIndex): Promise<void> {
  const hash = createHash("sha256");
  const archive = await archivedLog(blobs, facts);
  for await (const piece of archive.pieces(0)) hash.update(await bytesOf(piece));
  if (hash.digest("hex") !== index.sha256) throw new Error("the store gave back other bytes than were put there");
}
