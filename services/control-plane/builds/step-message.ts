import { create, fromBinary } from "@bufbuild/protobuf";
import { type Attempt, AttemptSchema, type Step, StepSchema } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import { StepSchema as SpecSchema } from "@ritmo/contract/ritmo/pipeline/v1/pipeline_pb.js";
import { optionalTimes } from "./build-message.ts";
import { STEP_STATES, type StepStateName } from "./state-names.ts";

/** A step's row with its name, the keys of its needs, and its newest attempt's id and worker. */
export interface StepRow {
  id: string;
  name: string;
  build_id: string;
  key: string;
  position: number;
  spec: Uint8Array;
  state: StepStateName;
  attempt: number;
  exit_code: number | null;
  reason: string;
  cause: string;
  needs: string[] | null;
  attempt_id: string | null;
  worker: string | null;
  queued_at: Date | null;
  started_at: Date | null;
  finished_at: Date | null;
  cancel_requested_at: Date | null;
}

export function stepMessage(row: StepRow): Step {
  const { id, name, key, position, attempt, reason, cause } = row;
  return create(StepSchema, {
    id,
    name,
    key,
    position,
    attempt,
    reason,
    cause,
    buildId: row.build_id,
    state: STEP_STATES[row.state],
    needs: row.needs ?? [],
    spec: fromBinary(SpecSchema, row.spec),
    worker: row.worker ?? "",
    attemptId: row.attempt_id ?? "",
    ...(row.exit_code === null ? {} : { exitCode: row.exit_code }),
    ...optionalTimes({
      queuedAt: row.queued_at,
      startedAt: row.started_at,
      finishedAt: row.finished_at,
      cancelRequestedAt: row.cancel_requested_at,
    }),
  });
}

/** An attempt's row with its name and its worker's. */
export interface AttemptRow {
  id: string;
  name: string;
  step_id: string;
  number: number;
  state: StepStateName;
  exit_code: number | null;
  signal: string;
  out_of_memory: boolean;
  failed_entry: number;
  reason: string;
  cause: string;
  worker_id: string;
  worker: string;
  leased_at: Date;
  started_at: Date | null;
  finished_at: Date | null;
  log_end: number;
  log_lines: number;
  log_incomplete: boolean;
  error_line: string;
}

export function attemptMessage(row: AttemptRow): Attempt {
  const { id, name, number, signal, reason, cause, worker } = row;
  return create(AttemptSchema, {
    id,
    name,
    number,
    signal,
    reason,
    cause,
    worker,
    stepId: row.step_id,
    state: STEP_STATES[row.state],
    outOfMemory: row.out_of_memory,
    failedEntry: row.failed_entry,
    workerId: row.worker_id,
    logBytes: BigInt(row.log_end),
    logLines: BigInt(row.log_lines),
    logIncomplete: row.log_incomplete,
    errorLine: row.error_line,
    ...(row.exit_code === null ? {} : { exitCode: row.exit_code }),
    ...optionalTimes({ leasedAt: row.leased_at, startedAt: row.started_at, finishedAt: row.finished_at }),
  });
}
