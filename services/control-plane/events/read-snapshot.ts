import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type Event, EventSchema } from "@ritmo/contract/ritmo/event/v1/event_pb.js";
import { BUILD_STATES, type BuildStateName, STEP_STATES, type StepStateName } from "../builds/state-names.ts";
import { WORKER_STATES, type WorkerStateName } from "../fleet/worker-message.ts";
import type { Sql } from "../store/open-database.ts";
import type { EventFilter } from "./read-events.ts";

const BUILDS = 100;
const ROWS = 500;

/**
 * The state as it is: live builds (or the one that is watched, live or not) and their steps, then the workers; in
 * batches that are each one short statement, so that a slow reader holds no transaction open.
 */
export async function* readSnapshot(sql: Sql, orgId: string, filter: EventFilter): AsyncGenerator<Event[]> {
  const wants = (kind: "build" | "step" | "worker") => filter.kinds === undefined || filter.kinds.includes(kind);
  if (wants("build") || wants("step")) {
    for await (const builds of batchesOfBuilds(sql, orgId, filter.buildId)) {
      if (wants("build")) yield builds.map(buildEvent);
      const ids = builds.map((build) => build.id);
      if (wants("step")) for await (const steps of batchesOfSteps(sql, ids)) yield steps.map(stepEvent);
    }
  }
  if (wants("worker") && filter.buildId === undefined)
    for await (const workers of batchesOfWorkers(sql, orgId)) yield workers.map(workerEvent);
}

interface BuildRow {
  id: string;
  name: string;
  jobId: string;
  state: BuildStateName;
  reason: string;
  cause: string;
  revision: number;
  cancelRequested: boolean;
  at: Date;
}

async function* batchesOfBuilds(sql: Sql, orgId: string, buildId: string | undefined): AsyncGenerator<BuildRow[]> {
  for (let after = ""; ; ) {
    const which = buildId === undefined ? sql`b.state IN ('pending', 'running')` : sql`b.id = ${buildId}`;
    const rows = await sql<BuildRow[]>`
      SELECT b.id, j.name || '#' || b.number AS name, b.job_id AS "jobId", b.state, b.reason, b.cause, b.revision,
        b.cancel_requested_at IS NOT NULL AS "cancelRequested", clock_timestamp() AS at
      FROM builds b JOIN jobs j ON j.id = b.job_id
      WHERE b.org_id = ${orgId} AND ${which} AND b.id > ${after} ORDER BY b.id LIMIT ${BUILDS}`;
    if (rows.length > 0) yield rows;
    if (rows.length < BUILDS) return;
    after = rows.at(-1)?.id ?? after;
  }
}

interface StepRow {
  id: string;
  name: string;
  key: string;
  buildId: string;
  state: StepStateName;
  attempt: number;
  exitCode: number | null;
  reason: string;
  cause: string;
  at: Date;
}

async function* batchesOfSteps(sql: Sql, buildIds: string[]): AsyncGenerator<StepRow[]> {
  for (let after = ["", ""] as [string, string]; ; ) {
    const rows = await sql<StepRow[]>`
      SELECT s.id, j.name || '#' || b.number || '/' || s.key AS name, s.key, s.build_id AS "buildId", s.state, s.attempt,
        s.exit_code AS "exitCode", s.reason, s.cause, clock_timestamp() AS at
      FROM steps s JOIN builds b ON b.id = s.build_id JOIN jobs j ON j.id = b.job_id
      WHERE s.build_id = ANY (${buildIds}::text[]) AND (s.build_id, s.key) > (${after[0]}, ${after[1]})
      ORDER BY s.build_id, s.key LIMIT ${ROWS}`;
    if (rows.length > 0) yield rows;
    const last = rows.at(-1);
    if (!last || rows.length < ROWS) return;
    after = [last.buildId, last.key];
  }
}

interface WorkerRow {
  id: string;
  name: string;
  state: WorkerStateName;
  reason: string;
  at: Date;
}

async function* batchesOfWorkers(sql: Sql, orgId: string): AsyncGenerator<WorkerRow[]> {
  for (let after = ""; ; ) {
    const rows = await sql<WorkerRow[]>`
      SELECT id, name, state, drain_reason AS reason, clock_timestamp() AS at FROM workers
      WHERE org_id = ${orgId} AND deleted_at IS NULL AND id > ${after} ORDER BY id LIMIT ${ROWS}`;
    if (rows.length > 0) yield rows;
    if (rows.length < ROWS) return;
    after = rows.at(-1)?.id ?? after;
  }
}

function told(at: Date, subject: MessageInitShape<typeof EventSchema>["subject"]): Event {
  return create(EventSchema, { at: timestampFromDate(at), ...(subject ? { subject } : {}) });
}

function buildEvent({ id, state, revision, at, ...row }: BuildRow): Event {
  const value = { ...row, buildId: id, state: BUILD_STATES[state], revision: BigInt(revision) };
  return told(at, { case: "build", value });
}

function stepEvent({ id, name, buildId, state, attempt, exitCode, reason, cause, at }: StepRow): Event {
  const value = { stepId: id, name, buildId, state: STEP_STATES[state], attempt, reason, cause };
  return told(at, { case: "step", value: { ...value, ...(exitCode === null ? {} : { exitCode }) } });
}

function workerEvent({ id, name, state, reason, at }: WorkerRow): Event {
  return told(at, { case: "worker", value: { workerId: id, name, state: WORKER_STATES[state], reason } });
}
