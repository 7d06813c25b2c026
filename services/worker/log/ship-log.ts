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

export interface Shipper {
  /** Everything below is durable at the control plane. */
  readonly durable: number;
  /** Resolves when everything below is durable; rejects with what made shipping impossible. */
  reached(offset: number): Promise<void>;
  /** Resolves when nothing is read from the spool any more, which the signal brings about. */
  readonly ended: Promise<void>;
  /** The control plane told, by the way, how far it has come: after a new start, or in a verdict. */
  told(durable: number): void;
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

interface Sent {
  message: AppendLogRequest;
  end: number;
}

/**
 * Ships a log as it grows, until it is told to end. A stream is opened when there is something to send; a lone line
 * leaves at once, and bytes gather only while a chunk is unacknowledged. After a break the same chunks go out again
 * from what is known to be durable, so that sending twice is the same as sending once.
 */
export function shipLog(shipping: Shipping): Shipper {
  const { grown, spool, lease, signal, lines, limits, leaseId, kind } = shipping;
  const reader: ChunkReader = chunkReader(spool);
  const moved = bell();
  const acked = bell();
  let durable = shipping.from ?? reader.offset;
  let sent: Sent[] = [];
  let impossible: Error | undefined;
  let refusals = 0;
  let failures = 0;

  const acknowledge = (offset: number) => {
    if (offset < durable) return;
    if (offset > durable) failures = refusals = 0;
    durable = offset;
    sent = sent.filter(({ end }) => end > offset);
    // Never fails the shipping: a file that can't be removed only takes room.
    void spool.release(offset).catch(() => {});
    acked.ring();
    moved.ring();
  };

  async function run(): Promise<void> {
    if (shipping.from !== undefined) await reader.seek(shipping.from);
    while (!signal.aborted && !impossible) {
      while (sent.length === 0 && !reader.hasMore() && !signal.aborted) await grown.next(signal);
      await lease.whenHeld(signal);
      if (signal.aborted) return;
      const failure = await oneStream();
      if (failure) await recover(readRefusal(failure));
    }
  }

  async function oneStream(): Promise<unknown> {
    const stream = lines.now.bytes.duplex(WorkerService.method.appendLog);
    const over = new AbortController();
    let failure: unknown;
    stream.on("data", (answer: AppendLogResponse) => acknowledge(Number(answer.durableOffset)));
    stream.on("error", (reason) => {
      failure ??= reason;
      over.abort();
      moved.ring();
    });
    stream.on("end", () => {
      failure ??= new Error("the control plane ended the stream");
      over.abort();
      moved.ring();
    });
    const cancel = () => stream.cancel();
    signal.addEventListener("abort", cancel, { once: true });
    try {
      for (const { message } of [...sent]) await write(stream, message, over.signal);
      await pump(stream, over.signal);
    } finally {
      signal.removeEventListener("abort", cancel);
      if (!over.signal.aborted) stream.cancel();
    }
    return failure;
  }

  async function pump(stream: ClientDuplexStream<AppendLogRequest, AppendLogResponse>, over: AbortSignal) {
    const chunkBytes = () => Math.min(CHUNK_BYTES, limits().maxChunkBytes || CHUNK_BYTES);
    const inflight = () => Math.min(INFLIGHT_BYTES, Number(limits().maxInflightBytes) || INFLIGHT_BYTES);
    const unacked = () => sent.reduce((sum, { message }) => sum + message.rawLength, 0);
    const mayGo = () => {
      if (!lease.holds() || !reader.hasMore()) return false;
      // A chunk of nothing but marks is not worth waiting for.
      if (unacked() === 0) return true;
      return spool.end - reader.offset >= chunkBytes() && unacked() + chunkBytes() <= inflight();
    };
    while (!over.aborted && !signal.aborted) {
      const records = mayGo() ? await reader.next(chunkBytes()) : [];
      if (records.length === 0) {
        await waitForMore(over);
        continue;
      }
      const message = packChunk(leaseId, kind, records);
      sent.push({ message, end: Number(message.offset) + message.rawLength });
      await write(stream, message, over);
    }
  }

  async function waitForMore(over: AbortSignal): Promise<void> {
    if (!lease.holds()) {
      await lease.whenHeld(AbortSignal.any([over, signal]));
      return;
    }
    const either = new AbortController();
    const any = AbortSignal.any([either.signal, signal, over]);
    await Promise.race([grown.next(any), moved.next(any)]);
    either.abort();
  }

  async function recover(refused: RefusedCall): Promise<void> {
    if (refused.reason === "LOG_GAP") return seek(Number(refused.metadata["expected_offset"] ?? durable), refused);
    if (refused.reason === "LOG_CONFLICT" || refused.reason === "LOG_CORRUPT") {
      if (++refusals >= 2) impossible = new LogRefused(refused);
      else await seek(durable, refused);
    } else if (isFinal(refused)) {
      impossible = new LogRefused(refused);
    } else {
      // A first break is most likely a control plane that stops: another is there at once.
      const windowMs = failures === 0 ? 100 : Math.min(15_000, 100 * 2 ** failures);
      failures++;
      await sleep(refused.retryAfterMs ?? Math.random() * windowMs, signal);
    }
  }

  async function seek(offset: number, refused: RefusedCall): Promise<void> {
    try {
      await reader.seek(offset);
      sent = [];
      durable = Math.max(durable, offset);
    } catch {
      impossible = new LogRefused(refused);
    }
  }

  const ended = run()
    .catch((reason: unknown) => {
      impossible = reason as Error;
    })
    .then(() => {
      if (impossible) shipping.refused(impossible);
      acked.ring();
    });
  return {
    ended,
    get durable() {
      return durable;
    },
    async reached(offset) {
      while (durable < offset && !impossible) {
        signal.throwIfAborted();
        await acked.next(signal);
      }
      if (impossible) throw impossible;
    },
    told(offset) {
      if (offset <= reader.offset) acknowledge(offset);
    },
  };
}

function write<T>(
  stream: { write(message: T): boolean; once(event: "drain", then: () => void): unknown },
  message: T,
  over: AbortSignal,
): Promise<void> {
  if (stream.write(message)) return Promise.resolve();
  return new Promise((resolve) => {
    stream.once("drain", resolve);
    over.addEventListener("abort", () => resolve(), { once: true });
  });
}
