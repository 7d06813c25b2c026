import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type Worker, WorkerSchema, WorkerState } from "@ritmo/contract/ritmo/fleet/v1/fleet_pb.js";
import { LabelSchema } from "@ritmo/contract/ritmo/pipeline/v1/pipeline_pb.js";

/** States as the database writes them, and their numbers on the wire. */
export const WORKER_STATES = {
  new: WorkerState.NEW,
  online: WorkerState.ONLINE,
  draining: WorkerState.DRAINING,
  offline: WorkerState.OFFLINE,
} as const satisfies Record<string, WorkerState>;

export type WorkerStateName = keyof typeof WORKER_STATES;

/** A worker's row and the names of the steps that it has. */
export interface WorkerRow {
  id: string;
  name: string;
  pool: string;
  state: WorkerStateName;
  drain_reason: string;
  fixed_labels: string[];
  labels: string[];
  slots: number;
  executors: string[];
  /** As the session that last said hello wrote it. */
  machine: Partial<{
    hostname: string;
    os: string;
    arch: string;
    cpus: number;
    memory_bytes: number;
    disk_bytes: number;
    container_engine: string;
  }>;
  version: string;
  created_at: Date;
  last_seen_at: Date | null;
  online_since: Date | null;
  steps: string[];
}

export function workerMessage(row: WorkerRow): Worker {
  const { id, name, pool, slots, executors, machine, version, steps } = row;
  const isUp = row.state === "online" || row.state === "draining";
  return create(WorkerSchema, {
    ...{ id, name, pool, slots, executors, version, steps },
    state: WORKER_STATES[row.state],
    drainReason: row.drain_reason,
    labels: [...new Set([...row.fixed_labels, ...row.labels])].sort().map(labelMessage),
    busySlots: steps.length,
    os: machine.os ?? "",
    arch: machine.arch ?? "",
    cpus: machine.cpus ?? 0,
    memoryBytes: BigInt(machine.memory_bytes ?? 0),
    diskBytes: BigInt(machine.disk_bytes ?? 0),
    containerEngine: machine.container_engine ?? "",
    hostname: machine.hostname ?? "",
    createdAt: timestampFromDate(row.created_at),
    ...(row.last_seen_at ? { lastSeenAt: timestampFromDate(row.last_seen_at) } : {}),
    ...(isUp && row.online_since ? { onlineSince: timestampFromDate(row.online_since) } : {}),
  });
}

function labelMessage(label: string) {
  const at = label.indexOf("=");
  return create(LabelSchema, { key: label.slice(0, at), value: label.slice(at + 1) });
}
