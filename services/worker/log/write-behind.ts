import { type Bell, bell } from "../bell.ts";
import type { LogRecord } from "./record.ts";
import type { Spool, SpoolBudget } from "./spool.ts";

/** The disk stayed full. */
export class DiskFull extends Error {
  override readonly name = "DiskFull";
}

// What may wait for the disk in memory; reading stops above it.
const MAX_WAITING_BYTES = 1024 * 1024;
// A record is a fraction of a chunk, so that a chunk is a number of whole records.
export const MAX_RECORD_BYTES = 64 * 1024;
// Syncs of a flood stand in the way of a database on the same disk; a lone line is synced within a second.
const SYNC_BYTES = 16 * 1024 * 1024;
const SYNC_EVERY_MS = 1000;
// Reads closer than this share one record and one time.
const MERGE_WITHIN_MS = 5;
const FULL_DISK_RETRY_MS = 250;

/** Brings records to the spool: what comes while a write is under way goes into the next one together. */
export class WriteBehind {
  /** Rings when the spool has grown. */
  readonly grown: Bell = bell();
  readonly #drained = bell();
  readonly #failure = new AbortController();
  readonly #spool: Spool;
  readonly #budget: SpoolBudget;
  readonly #diskFullMs: number;
  #waiting: LogRecord[] = [];
  #waitingBytes = 0;
  #writing: Promise<void> | undefined;
  #unsyncedBytes = 0;
  #syncedAtMs = performance.now();
  #syncing = false;
  #syncTimer: NodeJS.Timeout | undefined;

  constructor(spool: Spool, budget: SpoolBudget, diskFullMs: number) {
    this.#spool = spool;
    this.#budget = budget;
    this.#diskFullMs = diskFullMs;
  }

  /** Aborts with DiskFull when the disk stayed full for too long; nothing is written from then on. */
  get failure(): AbortSignal {
    return this.#failure.signal;
  }

  add(record: LogRecord): void {
    if (this.failure.aborted) return;
    this.#waiting.push(record);
    if (record.kind === "bytes") this.#waitingBytes += record.bytes.length;
    this.#writing ??= this.#writeOut();
  }

  full(): boolean {
    return this.#waitingBytes >= MAX_WAITING_BYTES || this.#budget.usedBytes >= this.#budget.maxBytes;
  }

  /** Resolves when there is room for more, when the log failed, or when the signal aborts. */
  async room(signal?: AbortSignal): Promise<void> {
    while (this.full() && !this.failure.aborted && !signal?.aborted) {
      if (this.#waitingBytes >= MAX_WAITING_BYTES) await this.#drained.next(signal);
      else await this.#budget.freed.next(AbortSignal.any([this.failure, ...(signal ? [signal] : [])]));
    }
  }

  async flushed(): Promise<void> {
    while (this.#writing) await this.#writing;
  }

  async #writeOut(): Promise<void> {
    // What is read in this turn of the event loop goes out together.
    await Promise.resolve();
    while (this.#waiting.length > 0 && !this.failure.aborted) {
      const batch = this.#waiting;
      const bytes = this.#waitingBytes;
      this.#waiting = [];
      await this.#writeBatch(mergeReads(batch));
      this.#waitingBytes -= bytes;
      this.#drained.ring();
      this.grown.ring();
      this.#syncSometimes(bytes);
    }
    this.#writing = undefined;
  }

  async #writeBatch(records: LogRecord[]): Promise<void> {
    for (const giveUpAtMs = performance.now() + this.#diskFullMs; ; ) {
      try {
        return await this.#spool.write(records);
      } catch (reason) {
        const { code, message } = reason as NodeJS.ErrnoException;
        const isFull = code === "ENOSPC" || code === "EDQUOT";
        if (!isFull || performance.now() >= giveUpAtMs) {
          this.#failure.abort(new DiskFull(`the log can't be kept: ${message}`));
          return;
        }
        await this.#budget.freed.next(AbortSignal.timeout(FULL_DISK_RETRY_MS));
      }
    }
  }

  #syncSometimes(bytes: number): void {
    this.#unsyncedBytes += bytes;
    const due = this.#unsyncedBytes >= SYNC_BYTES || performance.now() - this.#syncedAtMs >= SYNC_EVERY_MS;
    if (due) void this.#sync();
    else this.#syncTimer ??= setTimeout(() => void this.#sync(), SYNC_EVERY_MS).unref();
  }

  async #sync(): Promise<void> {
    clearTimeout(this.#syncTimer);
    this.#syncTimer = undefined;
    if (this.#syncing || this.#unsyncedBytes === 0) return;
    this.#syncing = true;
    this.#unsyncedBytes = 0;
    // A sync that fails is no reason to stop: what a crash loses by it was never acknowledged.
    await this.#spool.sync().catch(() => {});
    this.#syncedAtMs = performance.now();
    this.#syncing = false;
  }
}

/** Bytes that were read within a few milliseconds of one another become one record. */
function mergeReads(records: LogRecord[]): LogRecord[] {
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
    if (first && (!fits || record.atMs - first.atMs >= MERGE_WITHIN_MS)) flush();
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
