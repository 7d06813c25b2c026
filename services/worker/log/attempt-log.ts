import { createHash } from "node:crypto";
import type { Bell } from "../bell.ts";
import type { LogRecord } from "./record.ts";
import { type FoundMark, type MarkScanner, markScanner } from "./scan-marks.ts";
import type { Spool, SpoolBudget } from "./spool.ts";
import { MAX_RECORD_BYTES, WriteBehind } from "./write-behind.ts";

/** What is known of a log once nothing is added any more. */
export interface LogEnd {
  offset: number;
  sha256: Uint8Array;
  droppedBytes: number;
}

export interface LogOptions {
  spool: Spool;
  budget: SpoolBudget;
  /** Bytes beyond are counted and not kept. */
  maxBytes: number;
  /** How long a full disk is waited on. */
  diskFullMs: number;
  /** Whether group marks in the bytes are looked for. */
  scanMarks: boolean;
}

const MAX_GROUPS = 10_000;
const MAX_DEPTH = 32;

/** One log of an attempt, as it grows: bytes go in here, into the spool, and from there to the control plane. */
export class AttemptLog {
  readonly #writer: WriteBehind;
  readonly #spool: Spool;
  readonly #maxBytes: number;
  readonly #scanner: MarkScanner | undefined;
  readonly #hash = createHash("sha256");
  /** Where the next byte that is kept goes, and how many were seen, kept or not. */
  #offset: number;
  #seen: number;
  #dropped = 0;
  #groups = 0;
  #depth = 0;
  #inEntry = false;
  /** Marks of a log without a byte yet. Where only one entry ran and wrote nothing, they tell nothing. */
  #held: LogRecord[] | undefined;

  constructor({ spool, budget, maxBytes, diskFullMs, scanMarks }: LogOptions) {
    this.#writer = new WriteBehind(spool, budget, diskFullMs);
    this.#spool = spool;
    this.#maxBytes = maxBytes;
    this.#scanner = scanMarks ? markScanner() : undefined;
    this.#offset = this.#seen = spool.end;
    this.#held = spool.end === 0 ? [] : undefined;
  }

  /** Rings when the spool has grown. */
  get grown(): Bell {
    return this.#writer.grown;
  }

  /** Aborts with DiskFull when the disk stayed full for too long. */
  get failure(): AbortSignal {
    return this.#writer.failure;
  }

  /** Adds what was read. When `full()` turns true, read no more until `room` resolves. */
  append(bytes: Buffer): void {
    const atMs = Date.now();
    const from = this.#seen;
    let taken = 0;
    for (const mark of this.#scanner?.scan(bytes, from) ?? []) {
      this.#keep(bytes.subarray(taken, mark.offset - from), atMs);
      taken = mark.offset - from;
      this.#obey(mark, atMs);
    }
    this.#keep(bytes.subarray(taken), atMs);
    this.#seen += bytes.length;
  }

  /** Begins the group of an entry of `run`; groups that the output opened in the entry before are closed. */
  beginEntry(name: string, entry: number): void {
    this.endEntry();
    if (entry > 1) this.#speak();
    this.#begin(name, entry, Date.now());
    this.#inEntry = true;
  }

  endEntry(): void {
    this.#inEntry = false;
    while (this.#depth > 0) this.#end(Date.now());
  }

  full(): boolean {
    return this.#writer.full();
  }

  room(signal?: AbortSignal): Promise<void> {
    return this.#writer.room(signal);
  }

  /** Everything given so far is in the spool, or the log failed. */
  flushed(): Promise<void> {
    return this.#writer.flushed();
  }

  async end(): Promise<LogEnd> {
    await this.flushed();
    return { offset: this.#spool.end, sha256: this.#hash.copy().digest(), droppedBytes: this.#dropped };
  }

  #keep(bytes: Buffer, atMs: number): void {
    if (bytes.length > 0) this.#speak();
    const kept = bytes.subarray(0, Math.max(0, this.#maxBytes - this.#offset));
    this.#hash.update(kept);
    for (let at = 0; at < kept.length; at += MAX_RECORD_BYTES) {
      const part = kept.subarray(at, at + MAX_RECORD_BYTES);
      this.#writer.add({ kind: "bytes", bytes: part, offset: this.#offset, atMs });
      this.#offset += part.length;
    }
    const over = bytes.length - kept.length;
    if (over > 0 && this.#dropped === 0) {
      this.#writer.add({ kind: "dropped", droppedBytes: over, offset: this.#offset, atMs });
    }
    this.#dropped += over;
  }

  #obey(mark: FoundMark, atMs: number): void {
    // Past the cap there is no place that a mark could be at.
    if (this.#dropped > 0) return;
    if (mark.kind === "begin") this.#begin(mark.name, 0, atMs);
    else if (this.#depth > (this.#inEntry ? 1 : 0)) this.#end(atMs);
  }

  #begin(name: string, entry: number, atMs: number): void {
    if (this.#groups >= MAX_GROUPS || this.#depth >= MAX_DEPTH) return;
    this.#groups++;
    this.#depth++;
    this.#mark({ kind: "begin", name, entry, offset: this.#offset, atMs });
  }

  #end(atMs: number): void {
    this.#depth--;
    this.#mark({ kind: "end", offset: this.#offset, atMs });
  }

  #mark(record: LogRecord): void {
    if (this.#held) this.#held.push(record);
    else this.#writer.add(record);
  }

  #speak(): void {
    for (const record of this.#held ?? []) this.#writer.add(record);
    this.#held = undefined;
  }
}
