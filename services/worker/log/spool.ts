import { type FileHandle, mkdir, open, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { type Bell, bell } from "../bell.ts";
import { decodeRecords, encodeRecords, type LogRecord } from "./record.ts";

/** How many bytes the spools of a worker take on disk, all together, and how many they may. */
export interface SpoolBudget {
  readonly maxBytes: number;
  usedBytes: number;
  /** Rings when bytes were let go. */
  freed: Bell;
}

export function spoolBudget(maxBytes: number): SpoolBudget {
  return { maxBytes, usedBytes: 0, freed: bell() };
}

/** A place in the spool: a segment, and how many bytes of its file lie before. */
export interface Place {
  segment: number;
  filePosition: number;
  /** Of the log. */
  offset: number;
}

interface Segment {
  number: number;
  path: string;
  fileBytes: number;
  endOffset: number;
}

/** A log's bytes and marks on disk until they are acknowledged: files of records that go one by one from the front. */
export interface Spool {
  /** Where the log ends in the spool. */
  readonly end: number;
  /** The first place that is still there. */
  readonly start: Place;
  /** Appends and returns when the bytes are written (not synced). May be called again with the same after a failure. */
  write(records: LogRecord[]): Promise<void>;
  /** Whether anything, be it only a mark, lies behind a place. */
  hasMore(from: Place): boolean;
  /** Whole records from a place on, up to about so many file bytes; empty at the end. */
  read(from: Place, maxFileBytes: number): Promise<{ records: LogRecord[]; places: Place[] }>;
  /** Lets go of what lies below the offset. */
  release(offset: number): Promise<void>;
  /** Makes what was written survive a crash of the machine. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

const SEGMENT_BYTES = 4 * 1024 * 1024;

/** A new spool; its folder is made when the first bytes come. */
export function newSpool(folder: string, budget: SpoolBudget): Spool {
  return spoolOf(folder, budget, []);
}

/** The spool that an earlier life of this worker left in a folder; a torn end is cut off. */
export async function recoverSpool(folder: string, budget: SpoolBudget): Promise<Spool> {
  return spoolOf(folder, budget, await findSegments(folder));
}

function spoolOf(folder: string, budget: SpoolBudget, found: FoundSegment[]): Spool {
  const segments: Segment[] = found;
  const start: Place = { segment: segments[0]?.number ?? 0, filePosition: 0, offset: found[0]?.firstOffset ?? 0 };
  for (const segment of segments) budget.usedBytes += segment.fileBytes;
  let end = segments.at(-1)?.endOffset ?? 0;
  let nextNumber = (segments.at(-1)?.number ?? -1) + 1;
  let writing: { segment: Segment; file: FileHandle } | undefined;
  // Written to at this moment: it ends further on than it seems to, and must not go.
  let growing: Segment | undefined;
  let reading: { path: string; file: FileHandle } | undefined;

  const readSegment = async (path: string, position: number, length: number): Promise<Buffer> => {
    if (reading?.path !== path) {
      await reading?.file.close();
      reading = undefined;
      reading = { path, file: await open(path, "r") };
    }
    return readPart(reading.file, position, length);
  };

  const roll = async (): Promise<{ segment: Segment; file: FileHandle }> => {
    await writing?.file.close();
    // Never a number again: a reader's place in a segment that went must not be one in its successor.
    const number = nextNumber++;
    const segment = { number, path: join(folder, `${number}.log`), fileBytes: 0, endOffset: end };
    if (number === 0) await mkdir(folder, { recursive: true });
    const file = await open(segment.path, "w");
    segments.push(segment);
    writing = { segment, file };
    return writing;
  };
  const spool: Spool = {
    get end() {
      return end;
    },
    start,
    async write(records) {
      const { segment, file } =
        writing && writing.segment.fileBytes < SEGMENT_BYTES && segments.includes(writing.segment)
          ? writing
          : await roll();
      const encoded = encodeRecords(records);
      // At its place, not at the end: what a write that failed half-way left behind is written over.
      growing = segment;
      await writeWhole(file, encoded, segment.fileBytes).finally(() => {
        growing = undefined;
      });
      segment.fileBytes += encoded.length;
      budget.usedBytes += encoded.length;
      end = endOf(records, end);
      segment.endOffset = end;
    },
    hasMore(from) {
      return segments.some(({ number, fileBytes }) =>
        number === from.segment ? fileBytes > from.filePosition : number > from.segment && fileBytes > 0,
      );
    },
    async read(from, maxFileBytes) {
      const index = segments.findIndex(({ number }) => number >= from.segment);
      const segment = segments[index];
      if (!segment) return { records: [], places: [] };
      const filePosition = segment.number === from.segment ? from.filePosition : 0;
      const after = segments[index + 1];
      if (filePosition >= segment.fileBytes && after) {
        return spool.read({ segment: after.number, filePosition: 0, offset: from.offset }, maxFileBytes);
      }
      const length = Math.min(maxFileBytes, segment.fileBytes - filePosition);
      const decoded = decodeRecords(await readSegment(segment.path, filePosition, length), false);
      const places = decoded.map(({ record, endsAt }) => ({
        segment: segment.number,
        filePosition: filePosition + endsAt,
        offset: record.offset + (record.kind === "bytes" ? record.bytes.length : 0),
      }));
      return { records: decoded.map(({ record }) => record), places };
    },
    async release(offset) {
      // The one that is written to goes early only where bytes are short, since a new file costs more than it frees.
      const short = budget.usedBytes >= budget.maxBytes / 2;
      while (segments[0] && segments[0].endOffset <= offset && segments[0] !== growing) {
        if (!segments[1] && segments[0].fileBytes < SEGMENT_BYTES && !short) break;
        const segment = segments.shift() as Segment;
        start.segment = segment.number + 1;
        start.filePosition = 0;
        start.offset = segment.endOffset;
        await rm(segment.path, { force: true });
        budget.usedBytes -= segment.fileBytes;
        budget.freed.ring();
      }
    },
    async sync() {
      await writing?.file.datasync();
    },
    async close() {
      await writing?.file.close();
      await reading?.file.close();
      writing = undefined;
      reading = undefined;
      for (const segment of segments) budget.usedBytes -= segment.fileBytes;
      segments.length = 0;
      budget.freed.ring();
    },
  };
  return spool;
}

function endOf(records: LogRecord[], before: number): number {
  const last = records.at(-1);
  if (!last) return before;
  return last.offset + (last.kind === "bytes" ? last.bytes.length : 0);
}

async function writeWhole(file: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let written = 0; written < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, written, bytes.length - written, position + written);
    written += bytesWritten;
  }
}

async function readPart(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(length);
  const { bytesRead } = await file.read(bytes, 0, length, position);
  return bytes.subarray(0, bytesRead);
}

type FoundSegment = Segment & { firstOffset: number };

async function findSegments(folder: string): Promise<FoundSegment[]> {
  const names = await readdir(folder).catch(() => []);
  const numbers = names.flatMap((name) => /^(\d+)\.log$/.exec(name)?.[1] ?? []).map(Number);
  const segments: FoundSegment[] = [];
  for (const number of numbers.sort((a, b) => a - b)) {
    const path = join(folder, `${number}.log`);
    const decoded = decodeRecords(await readFile(path));
    const last = decoded.at(-1);
    const before = segments.at(-1)?.endOffset ?? decoded[0]?.record.offset ?? 0;
    // A crash of the machine may have kept a later file and not all of the one before.
    if ((decoded[0]?.record.offset ?? before) !== before) break;
    segments.push({
      number,
      path,
      fileBytes: last?.endsAt ?? 0,
      firstOffset: decoded[0]?.record.offset ?? before,
      endOffset: last ? endOf([last.record], before) : before,
    });
  }
  return segments;
}
