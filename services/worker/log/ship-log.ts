import type { ClientDuplexStream } from "@grpc/grpc-js";
import type { LogKind } from "@ritmo/contract/ritmo/log/v1/log_pb.js";
import {
  type AppendLogRequest,
  type AppendLogResponse,
  type Limits,
  WorkerService,
} from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import { sleep } from "../../process/wait.ts";
import { type Bell, bell } from "../bell.ts";
import type { LeaseClock } from "../link/lease-clock.ts";
import type { LineKeeper } from "../link/open-lines.ts";
import { isFinal, type RefusedCall, readRefusal } from "../link/read-refusal.ts";
import { type ChunkReader, chunkReader } from "./chunk-reader.ts";
import { packChunk } from "./pack-chunk.ts";
import type { Spool } from "./spool.ts";

export interface Shipping {
  leaseId: string;
  kind: LogKind;
  spool: Spool;
  /** Rings when the spool has grown. */
  grown: Bell;
  lines: LineKeeper;
  lease: LeaseClock;
  limits(): Limits;
  /** So much is durable already, from an earlier life of this worker. */
  from?: number | undefined;
  /** Told once, when shipping became impossible. */
  refused(reason: Error): void;
  /** Ends the shipping; what is not acknowledged stays in the spool. */
  signal: AbortSignal;
}

/** The log can't be delivered: the control plane refuses what the spool has. */
export class LogRefused extends Error {
  override readonly name = "LogRefused";
  readonly refused: RefusedCall;

  constructor(refused: RefusedCall) {
    super(refused.message);
    this.refused = refused;
  }
}

const CHUNK_BYTES = 256 * 1024;
const INFLIGHT_BYTES = 4 * 1024 * 1024;
const MAX_REFUSALS = 2;
// A gap is filled at once; one that stays is a control plane that has lost what it acknowledged.
const MAX_GAPS = 5;
const MARKS_WITHIN_MS = 1_000;
const RETRY_CAP_MS = 15_000;

type Stream = ClientDuplexStream<AppendLogRequest, AppendLogResponse>;

/**
 * Ships a log as it grows, until it is told to end. A stream is opened when there is something to send; a lone line
 * leaves at once, and bytes gather only while a chunk is unacknowledged. After a break the same chunks go out again
 * from what is known to be durable, so that sending twice is the same as sending once.
 */
export class Shipper {
  /** Resolves when nothing is read from the spool any more, which the signal brings about. */
  readonly ended: Promise<void>;
  readonly #to: Shipping;
  readonly #reader: ChunkReader;
  readonly #acked = bell();
  #durable: number;
  /** What is on its way, in its order; kept to be sent again as it was. */
  #sent: { message: AppendLogRequest; end: number; atMs: number }[] = [];
  #impossible: Error | undefined;
  #refusals = 0;
  #failures = 0;

  constructor(shipping: Shipping) {
    this.#to = shipping;
    this.#reader = chunkReader(shipping.spool);
    this.#durable = shipping.from ?? this.#reader.offset;
    this.ended = this.#run()
      .catch((reason: unknown) => {
        this.#impossible = reason as Error;
      })
      .then(() => {
        if (this.#impossible) shipping.refused(this.#impossible);
        this.#acked.ring();
      });
  }

  /** Everything below is durable at the control plane. */
  get durable(): number {
    return this.#durable;
  }

  /** Resolves when everything below and all marks are durable; rejects with what made shipping impossible. */
  async reached(offset: number): Promise<void> {
    const behind = () => this.#durable < offset || this.#sent.length > 0 || this.#reader.hasMore();
    while (behind() && !this.#impossible) {
      this.#to.signal.throwIfAborted();
      await this.#acked.next(this.#to.signal);
    }
    if (this.#impossible) throw this.#impossible;
  }

  /** The control plane told, by the way, how far it has come with the bytes; marks beside them need their own time. */
  told(offset: number): void {
    if (offset > this.#reader.offset) return;
    const since = performance.now() - MARKS_WITHIN_MS;
    if (offset > this.#durable || this.#sent.every(({ atMs }) => atMs < since)) this.#acknowledge(offset);
  }

  async #run(): Promise<void> {
    const { from, grown, lease, signal } = this.#to;
    if (from !== undefined) await this.#reader.seek(from);
    while (!signal.aborted && !this.#impossible) {
      while (this.#sent.length === 0 && !this.#reader.hasMore() && !signal.aborted) await grown.next(signal);
      await lease.whenHeld(signal);
      if (signal.aborted) return;
      const failure = await this.#oneStream();
      if (failure) await this.#recover(readRefusal(failure));
    }
  }

  /** Sends over one stream until it breaks or the shipping ends; answers what broke it. */
  async #oneStream(): Promise<unknown> {
    const stream: Stream = this.#to.lines.now.bytes.duplex(WorkerService.method.appendLog);
    const over = new AbortController();
    let failure: unknown;
    const end = (reason: unknown) => {
      failure ??= reason;
      over.abort();
    };
    stream.on("data", ({ durableOffset }) => this.#acknowledge(Number(durableOffset)));
    stream.on("error", end);
    stream.on("end", () => end(new Error("the control plane ended the stream")));
    const cancel = () => stream.cancel();
    this.#to.signal.addEventListener("abort", cancel, { once: true });
    try {
      for (const { message } of [...this.#sent]) await write(stream, message, over.signal);
      await this.#pump(stream, over.signal);
    } finally {
      this.#to.signal.removeEventListener("abort", cancel);
      if (!over.signal.aborted) stream.cancel();
    }
    return failure;
  }

  async #pump(stream: Stream, over: AbortSignal): Promise<void> {
    const { leaseId, kind, signal } = this.#to;
    while (!over.aborted && !signal.aborted) {
      const records = this.#mayGo() ? await this.#reader.next(this.#chunkBytes()) : [];
      if (records.length === 0) {
        await this.#waitForMore(over);
        continue;
      }
      const message = packChunk(leaseId, kind, records);
      this.#sent.push({ message, end: Number(message.offset) + message.rawLength, atMs: performance.now() });
      await write(stream, message, over);
    }
  }

  #mayGo(): boolean {
    if (!this.#to.lease.holds() || !this.#reader.hasMore()) return false;
    if (this.#sent.length === 0) return true;
    const waiting = this.#to.spool.end - this.#reader.offset;
    // An acknowledgement names an offset: nothing but marks at one that is on its way could not be told apart.
    if (waiting === 0) return false;
    const unacked = this.#sent.reduce((sum, { message }) => sum + message.rawLength, 0);
    // A chunk of nothing but marks is not worth waiting for.
    if (unacked === 0) return true;
    const allowed = Math.min(INFLIGHT_BYTES, Number(this.#to.limits().maxInflightBytes) || INFLIGHT_BYTES);
    const chunk = this.#chunkBytes();
    return waiting >= chunk && unacked + chunk <= allowed;
  }

  #chunkBytes(): number {
    return Math.min(CHUNK_BYTES, this.#to.limits().maxChunkBytes || CHUNK_BYTES);
  }

  async #waitForMore(over: AbortSignal): Promise<void> {
    const { lease, grown, signal } = this.#to;
    if (!lease.holds()) return lease.whenHeld(AbortSignal.any([over, signal]));
    const either = new AbortController();
    const any = AbortSignal.any([either.signal, signal, over]);
    await Promise.race([grown.next(any), this.#acked.next(any)]);
    either.abort();
  }

  #acknowledge(offset: number): void {
    if (offset < this.#durable) return;
    if (offset > this.#durable) this.#failures = this.#refusals = 0;
    this.#durable = offset;
    this.#sent = this.#sent.filter(({ end }) => end > offset);
    // Never fails the shipping: a file that can't be removed only takes room.
    void this.#to.spool.release(offset).catch(() => {});
    this.#acked.ring();
  }

  async #recover(refused: RefusedCall): Promise<void> {
    if (refused.reason === "LOG_GAP" && ++this.#refusals < MAX_GAPS) {
      return this.#seek(Number(refused.metadata["expected_offset"] ?? this.#durable), refused);
    }
    if (refused.reason === "LOG_CONFLICT" || refused.reason === "LOG_CORRUPT") {
      if (++this.#refusals >= MAX_REFUSALS) this.#impossible = new LogRefused(refused);
      else await this.#seek(this.#durable, refused);
      return;
    }
    if (isFinal(refused)) {
      this.#impossible = new LogRefused(refused);
      return;
    }
    // A first break is most likely a control plane that stops: another is there at once.
    const windowMs = Math.min(RETRY_CAP_MS, 100 * 2 ** this.#failures++);
    await sleep(refused.retryAfterMs ?? Math.random() * windowMs, this.#to.signal);
  }

  async #seek(offset: number, refused: RefusedCall): Promise<void> {
    try {
      await this.#reader.seek(offset);
      this.#sent = [];
      this.#durable = Math.max(this.#durable, offset);
    } catch {
      this.#impossible = new LogRefused(refused);
    }
  }
}

function write(stream: Stream, message: AppendLogRequest, over: AbortSignal): Promise<void> {
  if (stream.write(message)) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      over.removeEventListener("abort", done);
      stream.removeListener("drain", done);
      resolve();
    };
    stream.once("drain", done);
    over.addEventListener("abort", done, { once: true });
    if (over.aborted) done();
  });
}
