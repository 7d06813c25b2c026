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

type FoundSegment = Segment & { firstOffset: number };

const SEGMENT_BYTES = 4 * 1024 * 1024;

/** A log's bytes and marks on disk until they are acknowledged: files of records that go one by one from the front. */
export class Spool {
  readonly #folder: string;
  readonly #budget: SpoolBudget;
  readonly #segments: Segment[];
  #start: Place;
  #end: number;
  #nextNumber: number;
  #writing: { segment: Segment; file: FileHandle } | undefined;
  /** Written to at this moment: it ends further on than it seems to, and must not go. */
  #growing: Segment | undefined;
  #reading: { path: string; file: FileHandle } | undefined;

  /** A new spool, or one with what an earlier life left, else from an offset; its folder is made with the first bytes. */
  constructor(folder: string, budget: SpoolBudget, found: FoundSegment[] = [], from = 0) {
    const [first] = found;
    this.#folder = folder;
    this.#budget = budget;
    this.#segments = found;
    this.#start = { segment: first?.number ?? 0, filePosition: 0, offset: first?.firstOffset ?? from };
    this.#end = found.at(-1)?.endOffset ?? from;
    this.#nextNumber = (found.at(-1)?.number ?? -1) + 1;
    for (const segment of found) budget.usedBytes += segment.fileBytes;
  }

  /** Where the log ends in the spool. */
  get end(): number {
    return this.#end;
  }

  /** The first place that is still there. */
  get start(): Place {
    return this.#start;
  }

  /** Appends and returns when the bytes are written (not synced). May be called again with the same after a failure. */
  async write(records: LogRecord[]): Promise<void> {
    const encoded = encodeRecords(records);
    try {
      const { segment, file } = this.#segmentToWrite() ?? (await this.#roll());
      // At its place, not at the end: what a write that failed half-way left behind is written over.
      await writeWhole(file, encoded, segment.fileBytes);
      segment.fileBytes += encoded.length;
      this.#budget.usedBytes += encoded.length;
      this.#end = segment.endOffset = endOf(records, this.#end);
    } finally {
      this.#growing = undefined;
    }
  }

  /** Whether anything, be it only a mark, lies behind a place. */
  hasMore(from: Place): boolean {
    return this.#segments.some(({ number, fileBytes }) =>
      number === from.segment ? fileBytes > from.filePosition : number > from.segment && fileBytes > 0,
    );
  }

  /** Whole records from a place on, up to about so many file bytes, and the place after each; none at the end. */
  async read(from: Place, maxFileBytes: number): Promise<{ records: LogRecord[]; places: Place[] }> {
    const index = this.#segments.findIndex(({ number }) => number >= from.segment);
    const segment = this.#segments[index];
    if (!segment) return { records: [], places: [] };
    const filePosition = segment.number === from.segment ? from.filePosition : 0;
    const after = this.#segments[index + 1];
    if (filePosition >= segment.fileBytes && after) {
      return this.read({ segment: after.number, filePosition: 0, offset: from.offset }, maxFileBytes);
    }
    const length = Math.min(maxFileBytes, segment.fileBytes - filePosition);
    const decoded = decodeRecords(await this.#readPart(segment.path, filePosition, length), false);
    const places = decoded.map(({ record, endsAt }) => ({
      segment: segment.number,
      filePosition: filePosition + endsAt,
      offset: endOf([record], 0),
    }));
    return { records: decoded.map(({ record }) => record), places };
  }

  /** Lets go of what lies below the offset. */
  async release(offset: number): Promise<void> {
    // The one that is written to goes early only where bytes are short, since a new file costs more than it frees.
    const short = this.#budget.usedBytes >= this.#budget.maxBytes / 2;
    for (let [first, next] = this.#segments; first && first.endOffset <= offset; [first, next] = this.#segments) {
      if (first === this.#growing || (!next && first.fileBytes < SEGMENT_BYTES && !short)) break;
      this.#segments.shift();
      this.#start = { segment: first.number + 1, filePosition: 0, offset: first.endOffset };
      await rm(first.path, { force: true });
      this.#budget.usedBytes -= first.fileBytes;
      this.#budget.freed.ring();
    }
  }

  /** Makes what was written survive a crash of the machine. */
  async sync(): Promise<void> {
    await this.#writing?.file.datasync();
  }

  /** Only when nothing is written or read any more. */
  async close(): Promise<void> {
    await this.#writing?.file.close();
    await this.#reading?.file.close();
    this.#writing = this.#reading = undefined;
    for (const segment of this.#segments) this.#budget.usedBytes -= segment.fileBytes;
    this.#segments.length = 0;
    this.#budget.freed.ring();
  }

  /** The segment that may grow further, from this moment kept from going. */
  #segmentToWrite(): { segment: Segment; file: FileHandle } | undefined {
    const now = this.#writing;
    if (!now || now.segment.fileBytes >= SEGMENT_BYTES || !this.#segments.includes(now.segment)) return undefined;
    this.#growing = now.segment;
    return now;
  }

  async #roll(): Promise<{ segment: Segment; file: FileHandle }> {
    await this.#writing?.file.close();
    this.#writing = undefined;
    // Never a number again: a reader's place in a segment that went must not be one in its successor.
    const number = this.#nextNumber++;
    if (number === 0) await mkdir(this.#folder, { recursive: true });
    const path = join(this.#folder, `${number}.log`);
    const segment = { number, path, fileBytes: 0, endOffset: this.#end };
    const file = await open(path, "w");
    this.#growing = segment;
    this.#segments.push(segment);
    this.#writing = { segment, file };
    return this.#writing;
  }

  async #readPart(path: string, position: number, length: number): Promise<Buffer> {
    if (this.#reading?.path !== path) {
      await this.#reading?.file.close();
      this.#reading = undefined;
      this.#reading = { path, file: await open(path, "r") };
    }
    const bytes = Buffer.allocUnsafe(length);
    const { bytesRead } = await this.#reading.file.read(bytes, 0, length, position);
    return bytes.subarray(0, bytesRead);
  }
}

/**
 * The spool that an earlier life of this worker left in a folder; a torn end is cut off. Where it has less than what is
 * `durable` already, it goes on from there.
 */
export async function recoverSpool(folder: string, budget: SpoolBudget, durable = 0): Promise<Spool> {
  const found = await findSegments(folder);
  return new Spool(folder, budget, (found.at(-1)?.endOffset ?? 0) < durable ? [] : found, durable);
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
      firstOffset: before,
      endOffset: last ? endOf([last.record], before) : before,
    });
  }
  return segments;
}
