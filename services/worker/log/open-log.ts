import { createHash } from "node:crypto";
import { type Bell, bell } from "../bell.ts";
import type { LogRecord } from "./record.ts";
import { markScanner } from "./scan-marks.ts";
import type { Spool, SpoolBudget } from "./spool.ts";

/** What is known of a log once nothing is added any more. */
export interface LogEnd {
  offset: number;
  sha256: Uint8Array;
  droppedBytes: number;
}

/** One log of an attempt, as it grows: bytes go in here, into the spool, and from there to the control plane. */
export interface AttemptLog {
  /** Adds what was read. When `full()` turns true, read no more until `room` resolves. */
  append(bytes: Buffer): void;
  /** Begins the group of an entry of `run`; groups that the output opened in the entry before are closed. */
  beginEntry(name: string, entry: number): void;
  endEntry(): void;
  full(): boolean;
  room(signal?: AbortSignal): Promise<void>;
  /** Everything given so far is in the spool, or the log failed. */
  flushed(): Promise<void>;
  end(): Promise<LogEnd>;
  /** Rings when the spool has grown. */
  readonly grown: Bell;
  /** Set when the disk stayed full for too long. Nothing is written from then on. */
  readonly failed: Error | undefined;
  /** Aborts when it failed. */
  readonly failure: AbortSignal;
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

// What may wait for the disk in memory; reading stops above it.
const MAX_WAITING_BYTES = 1024 * 1024;
// A record is a fraction of a chunk, so that a chunk is a number of whole records.
const MAX_RECORD_BYTES = 64 * 1024;
const SYNC_BYTES = 1024 * 1024;
const SYNC_EVERY_MS = 1000;
const MAX_GROUPS = 10_000;
const MAX_DEPTH = 32;

/** The disk stayed full. */
export class DiskFull extends Error {
  override readonly name = "DiskFull";
}

/** Opens a log over its spool. */
export function openLog({ spool, budget, maxBytes, diskFullMs, scanMarks }: LogOptions): AttemptLog {
  const hash = createHash("sha256");
  const scanner = scanMarks ? markScanner() : undefined;
  const grown = bell();
  const drained = bell();
  const failure = new AbortController();
  let waiting: LogRecord[] = [];
  let waitingBytes = 0;
  let offset = spool.end;
  let seen = offset;
  let dropped = 0;
  let groups = 0;
  let depth = 0;
  let inEntry = false;
  let writing: Promise<void> | undefined;

  const add = (record: LogRecord) => {
    waiting.push(record);
    if (record.kind === "bytes") waitingBytes += record.bytes.length;
    writing ??= writeOut();
  };
  const keep = (bytes: Buffer, atMs: number) => {
    const kept = bytes.subarray(0, Math.max(0, Math.min(bytes.length, maxBytes - offset)));
    hash.update(kept);
    for (let at = 0; at < kept.length; at += MAX_RECORD_BYTES) {
      const part = kept.subarray(at, at + MAX_RECORD_BYTES);
      add({ kind: "bytes", bytes: part, offset, atMs });
      offset += part.length;
    }
    const over = bytes.length - kept.length;
    if (over > 0 && dropped === 0) add({ kind: "dropped", droppedBytes: over, offset, atMs });
    dropped += over;
  };
  const begin = (name: string, entry: number, atMs: number) => {
    if (groups >= MAX_GROUPS || depth >= MAX_DEPTH) return;
    groups++;
    depth++;
    add({ kind: "begin", name, entry, offset, atMs });
  };
  const end = (atMs: number) => {
    if (depth <= (inEntry ? 1 : 0)) return;
    depth--;
    add({ kind: "end", offset, atMs });
  };
  const endEntry = () => {
    inEntry = false;
    while (depth > 0) end(Date.now());
  };

  async function writeOut(): Promise<void> {
    // What is read in this turn of the event loop goes out together.
    await Promise.resolve();
    while (waiting.length > 0 && !failure.signal.aborted) {
      const batch = waiting;
      const bytes = waitingBytes;
      waiting = [];
      await writeBatch(batch);
      waitingBytes -= bytes;
      drained.ring();
      grown.ring();
      syncSometimes(bytes);
    }
    writing = undefined;
  }

  async function writeBatch(batch: LogRecord[]): Promise<void> {
    const records = merge(batch);
    for (const giveUpAtMs = performance.now() + diskFullMs; ; ) {
      try {
        return await spool.write(records);
      } catch (reason) {
        const { code } = reason as NodeJS.ErrnoException;
        if ((code !== "ENOSPC" && code !== "EDQUOT") || performance.now() >= giveUpAtMs) {
          failure.abort(new DiskFull(`the log can't be kept: ${(reason as Error).message}`));
          drained.ring();
          return;
        }
        await budget.freed.next(AbortSignal.timeout(250));
      }
    }
  }

  let unsynced = 0;
  let syncedAtMs = performance.now();
  let syncing = false;
  let syncTimer: NodeJS.Timeout | undefined;
  function syncSometimes(bytes: number): void {
    unsynced += bytes;
    const due = unsynced >= SYNC_BYTES || performance.now() - syncedAtMs >= SYNC_EVERY_MS;
    if (due && !syncing) void sync();
    else syncTimer ??= setTimeout(() => void sync(), SYNC_EVERY_MS).unref();
  }
  async function sync(): Promise<void> {
    clearTimeout(syncTimer);
    syncTimer = undefined;
    if (syncing || unsynced === 0) return;
    syncing = true;
    unsynced = 0;
    // A sync that fails is no reason to stop: the bytes are written, and what a crash loses was never acknowledged.
    await spool.sync().catch(() => {});
    syncedAtMs = performance.now();
    syncing = false;
  }

  const full = () => waitingBytes >= MAX_WAITING_BYTES || budget.usedBytes >= budget.maxBytes;
  return {
    grown,
    append(bytes) {
      if (failure.signal.aborted) return;
      const atMs = Date.now();
      let taken = 0;
      for (const mark of scanner?.scan(bytes, seen) ?? []) {
        keep(bytes.subarray(taken, mark.offset - seen), atMs);
        taken = mark.offset - seen;
        if (dropped > 0) continue;
        if (mark.kind === "begin") begin(mark.name, 0, atMs);
        else end(atMs);
      }
      keep(bytes.subarray(taken), atMs);
      seen += bytes.length;
    },
    beginEntry(name, entry) {
      endEntry();
      begin(name, entry, Date.now());
      inEntry = true;
    },
    endEntry,
    full,
    async room(signal) {
      while (full() && !failure.signal.aborted && !signal?.aborted) {
        if (waitingBytes >= MAX_WAITING_BYTES) await drained.next(signal);
        else await budget.freed.next(AbortSignal.any([failure.signal, ...(signal ? [signal] : [])]));
      }
    },
    async flushed() {
      while (writing) await writing;
    },
    async end() {
      await this.flushed();
      clearTimeout(syncTimer);
      // What a full disk kept out of the spool is lost like what is beyond the cap.
      return { offset: spool.end, sha256: hash.copy().digest(), droppedBytes: dropped + offset - spool.end };
    },
    get failed() {
      return failure.signal.aborted ? (failure.signal.reason as Error) : undefined;
    },
    failure: failure.signal,
  };
}

/** Bytes that were read within a few milliseconds of one another become one record. */
function merge(records: LogRecord[]): LogRecord[] {
  const merged: LogRecord[] = [];
  let parts: Buffer[] = [];
  let first: (LogRecord & { kind: "bytes" }) | undefined;
  let size = 0;
  const flush = () => {
    if (first) merged.push({ ...first, bytes: parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts) });
    first = undefined;
    parts = [];
    size = 0;
  };
  for (const record of records) {
    const fits = record.kind === "bytes" && size + record.bytes.length <= MAX_RECORD_BYTES;
    if (first && (!fits || record.atMs - first.atMs >= 5)) flush();
    if (record.kind !== "bytes") {
      merged.push(record);
      continue;
    }
    first ??= record;
    parts.push(record.bytes);
    size += record.bytes.length;
  }
  flush();
  return merged;
}
