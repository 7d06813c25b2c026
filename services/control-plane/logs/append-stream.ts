import type { MessageInitShape } from "@bufbuild/protobuf";
import type { AppendLogRequest, AppendLogResponseSchema } from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import { pushable } from "../../process/pushable.ts";
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
  const acks = pushable<Ack>();
  const lanes = new Map<string, Lane>();
  let heldBytes = 0;
  let roomier: (() => void) | undefined;
  let over = false;

  const readAll = async () => {
    for await (const request of requests) {
      if (over) return;
      while (heldBytes > MAX_HELD_BYTES && !over) await new Promise<void>((resolve) => (roomier = resolve));
      take(laneOf(lanes, request), request);
    }
    await Promise.all([...lanes.values()].map((lane) => lane.running));
    acks.end();
  };
  const take = (lane: Lane, request: AppendLogRequest) => {
    const bytes = request.data.length + request.rawLength;
    const chunk = verifyChunk(request);
    // Awaited when its turn comes; until then a refusal is nobody's fault.
    chunk.catch(() => {});
    heldBytes += bytes;
    lane.waiting.push({ chunk, bytes });
    lane.running ??= drain(lane).finally(() => (lane.running = undefined));
  };
  const drain = async (lane: Lane) => {
    try {
      while (lane.waiting.length > 0 && !over) {
        const batch = lane.waiting.splice(0, MAX_BATCH_CHUNKS);
        const chunks = await Promise.all(batch.map(({ chunk }) => chunk));
        const durable = await appendLog(deps, { leaseId: lane.leaseId, workerId }, chunks);
        acks.push({ leaseId: lane.leaseId, kind: lane.kind, durableOffset: BigInt(durable) });
        heldBytes -= batch.reduce((sum, { bytes }) => sum + bytes, 0);
        roomier?.();
      }
    } catch (reason) {
      acks.fail(reason);
    }
  };

  const reading = readAll().catch((reason: unknown) => acks.fail(reason));
  try {
    yield* acks;
    await reading;
  } finally {
    over = true;
    roomier?.();
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
