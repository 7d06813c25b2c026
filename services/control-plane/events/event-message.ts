import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  BuildEventSchema,
  type Event,
  EventSchema,
  JobEventSchema,
  StepEventSchema,
  WorkerEventSchema,
} from "@ritmo/contract/ritmo/event/v1/event_pb.js";
import { type Job, JobSchema } from "@ritmo/contract/ritmo/job/v1/job_pb.js";
import { BUILD_STATES, STEP_STATES } from "../builds/state-names.ts";
import { WORKER_STATES } from "../fleet/worker-message.ts";
import type { EventRow } from "./read-events.ts";

/** A row of `events` as the contract tells it, with its page's cursor; `jobs` are the jobs as they are now, by id. */
export function eventMessage(row: EventRow, cursor: string, jobs: ReadonlyMap<string, Job>): Event {
  return create(EventSchema, {
    cursor,
    at: timestampFromDate(row.at),
    subject: subjectOf(row, reader(row.payload), jobs),
  });
}

type Reader = ReturnType<typeof reader>;

// The triggers write the payloads; a field that an older version did not write reads as nothing.
function reader(payload: Record<string, unknown>) {
  return {
    text: (key: string) => (typeof payload[key] === "string" ? payload[key] : ""),
    number: (key: string) => (typeof payload[key] === "number" ? payload[key] : 0),
    flag: (key: string) => payload[key] === true,
    has: (key: string) => payload[key] !== null && payload[key] !== undefined,
    state: (key: string, states: Record<string, number>) => states[String(payload[key])] ?? 0,
  };
}

function subjectOf({ kind }: EventRow, read: Reader, jobs: ReadonlyMap<string, Job>): Event["subject"] {
  switch (kind) {
    case "build":
      return { case: "build", value: buildEvent(read) };
    case "step":
      return { case: "step", value: stepEvent(read) };
    case "worker":
      return { case: "worker", value: workerEvent(read) };
    case "job":
      return { case: "job", value: jobEvent(read, jobs) };
  }
}

function buildEvent(read: Reader) {
  return create(BuildEventSchema, {
    buildId: read.text("build_id"),
    name: read.text("name"),
    jobId: read.text("job_id"),
    state: read.state("state", BUILD_STATES),
    before: read.state("before", BUILD_STATES),
    reason: read.text("reason"),
    cause: read.text("cause"),
    revision: BigInt(read.number("revision")),
    cancelRequested: read.flag("cancel_requested"),
  });
}

function stepEvent(read: Reader) {
  return create(StepEventSchema, {
    stepId: read.text("step_id"),
    name: read.text("name"),
    buildId: read.text("build_id"),
    state: read.state("state", STEP_STATES),
    before: read.state("before", STEP_STATES),
    attempt: read.number("attempt"),
    reason: read.text("reason"),
    cause: read.text("cause"),
    ...(read.has("exit_code") ? { exitCode: read.number("exit_code") } : {}),
  });
}

function workerEvent(read: Reader) {
  return create(WorkerEventSchema, {
    workerId: read.text("worker_id"),
    name: read.text("name"),
    state: read.state("state", WORKER_STATES),
    reason: read.flag("deleted") ? "deleted" : read.text("reason"),
  });
}

function jobEvent(read: Reader, jobs: ReadonlyMap<string, Job>) {
  const id = read.text("job_id");
  const job = jobs.get(id);
  // Deleted meanwhile: its own event follows.
  if (read.flag("deleted") || !job)
    return create(JobEventSchema, { job: create(JobSchema, { id, name: read.text("name") }), deleted: true });
  return create(JobEventSchema, { job });
}
