import type { MessageInitShape } from "@bufbuild/protobuf";
import type { AppendLogRequest, AppendLogResponseSchema } from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import { type Pushable, pushable } from "../../process/pushable.ts";
import { badField } from "../../process/refusal.ts";
import { type AppendDeps, appendLog } from "./append-log.ts";
import { type LogChunk, type LogKind, logKindOf, verifyChunk } from "./verify-chunk.ts";

type Ack = MessageInitShape<typeof AppendLogResponseSchema>;

interface Lane {
  leaseId: string;
  kind: LogKind;
  /** Verified side by side while a statement is under way, stored in their order. */
  waiting: { chunk: Promise<LogChunk>; bytes: number }[];
  running: Promise<void> | undefined;
}

interface Stream {
  acks: Pushable<Ack>;
  lanes: Map<string, Lane>;
  heldBytes: number;
  roomier: (() => void) | undefined;
  /** Nobody listens any more. */
  over: boolean;
}

// What one stream may have in hand: two logs' worth. Reading stops above it, and HTTP/2's window with it.
const MAX_HELD_BYTES = 8 * 1024 * 1024;
// Enough for one commit to carry many; few enough for few shapes of the statement.
const MAX_BATCH_CHUNKS = 16;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/**
 * Serves one stream of chunks, of any leases that the worker has, and acknowledges each after its commit. Chunks of
 * one log keep their order; those that come while a statement is under way go into the next one together. The first
 * refusal ends the stream, after the acknowledgements that were due. Errors: those of `verifyChunk` and `appendLog`.
 */
export async function* appendStream(
  deps: AppendDeps,
  workerId: string,
  requests: AsyncIterable<AppendLogRequest>,
): AsyncGenerator<Ack> {
  const stream: Stream = { acks: pushable<Ack>(), lanes: new Map(), heldBytes: 0, roomier: undefined, over: false };
  const reading = readAll(deps, workerId, stream, requests).catch((reason: unknown) => stream.acks.fail(reason));
  try {
    yield* stream.acks;
    await reading;
  } finally {
    stream.over = true;
    stream.roomier?.();
  }
}

async function readAll(
  deps: AppendDeps,
  workerId: string,
  stream: Stream,
  requests: AsyncIterable<AppendLogRequest>,
): Promise<void> {
  for await (const request of requests) {
    while (stream.heldBytes > MAX_HELD_BYTES && !stream.over) {
      await new Promise<void>((resolve) => {
        stream.roomier = resolve;
      });
    }
    if (stream.over) return;
    const lane = laneOf(stream.lanes, request);
    hold(stream, lane, request);
    lane.running ??= drain(deps, workerId, stream, lane).finally(() => {
      lane.running = undefined;
    });
  }
  await Promise.all([...stream.lanes.values()].map((lane) => lane.running));
  stream.acks.end();
}

function hold(stream: Stream, lane: Lane, request: AppendLogRequest): void {
  const bytes = request.data.length + request.rawLength;
  const chunk = verifyChunk(request);
  // Awaited when its turn comes; until then a refusal is nobody's fault.
  chunk.catch(() => {});
  stream.heldBytes += bytes;
  lane.waiting.push({ chunk, bytes });
}

async function drain(deps: AppendDeps, workerId: string, stream: Stream, lane: Lane): Promise<void> {
  try {
    while (lane.waiting.length > 0 && !stream.over) {
      const batch = lane.waiting.splice(0, MAX_BATCH_CHUNKS);
      const chunks = await Promise.all(batch.map(({ chunk }) => chunk));
      const durable = await appendLog(deps, { leaseId: lane.leaseId, workerId }, chunks);
      stream.acks.push({ leaseId: lane.leaseId, kind: lane.kind, durableOffset: BigInt(durable) });
      stream.heldBytes -= batch.reduce((sum, { bytes }) => sum + bytes, 0);
      stream.roomier?.();
    }
  } catch (reason) {
    stream.acks.fail(reason);
  }
}

function laneOf(lanes: Map<string, Lane>, request: AppendLogRequest): Lane {
  if (!UUID.test(request.leaseId)) throw badField("lease_id", "is no lease's id");
  const kind = logKindOf(request.kind);
  const key = `${request.leaseId} ${kind}`;
  const known = lanes.get(key);
  if (known) return known;
  const lane: Lane = { leaseId: request.leaseId, kind, waiting: [], running: undefined };
  lanes.set(key, lane);
  return lane;
}
