import { randomUUID } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import { StepSchema } from "@ritmo/contract/ritmo/pipeline/v1/pipeline_pb.js";
import type { Sql } from "../control-plane/store/open-database.ts";
import { newId } from "../process/new-id.ts";

// Rows put straight into the tables, for tests of what reads them: no queue, planner or worker has to run.

const OVER = new Set(["success", "failure", "error", "timeout", "cancellation", "skip"]);

/** A second tenant, to be kept from the first one's rows. */
export async function plantOrganization(sql: Sql, name: string): Promise<string> {
  const id = newId("org");
  await sql`INSERT INTO organizations (id, name) VALUES (${id}, ${name})`;
  return id;
}

export async function plantJob(sql: Sql, name: string, orgId = "org_default"): Promise<string> {
  const id = newId("job");
  await sql`INSERT INTO jobs (id, org_id, name, repository, pipeline_path)
    VALUES (${id}, ${orgId}, ${name}, 'https://git.example.com/hello.git', '.ritmo.yaml')`;
  return id;
}

/** A build with the job's next number. */
export async function plantBuild(
  sql: Sql,
  jobId: string,
  row: { state?: string; commit?: string; branch?: string; atMs?: number } = {},
): Promise<string> {
  const id = newId("bld", row.atMs);
  const state = row.state ?? "running";
  const commit = row.commit ?? (state === "pending" ? null : "a".repeat(40));
  await sql`
    WITH job AS (UPDATE jobs SET next_number = next_number + 1 WHERE id = ${jobId} RETURNING *)
    INSERT INTO builds (id, org_id, job_id, number, state, repository, source_kind, source_name, commit, created_by, finished_at)
    SELECT ${id}, org_id, id, next_number - 1, ${state}, repository, 'branch', ${row.branch ?? "main"}, ${commit}, 'somebody',
      ${OVER.has(state) ? sql`clock_timestamp()` : null}
    FROM job`;
  return id;
}

interface StepRow {
  key?: string;
  state?: string;
  requires?: string[];
  pool?: string;
  needs?: string[];
  sessionId?: string;
  cause?: string;
  cpuMillis?: number;
  memoryBytes?: number;
}

/** A step, in the queue when its state says so. */
export async function plantStep(sql: Sql, buildId: string, row: StepRow = {}): Promise<string> {
  const id = newId("stp");
  const { key = "test", state = "waiting" } = row;
  const active = ["leased", "running", "finishing"].includes(state);
  const spec = Buffer.from(toBinary(StepSchema, create(StepSchema, { name: key, run: ["true"], checkout: true })));
  const shapeId = await plantShape(sql, buildId, row);
  await sql`
    INSERT INTO steps (id, org_id, build_id, key, position, spec, shape_id, state, attempt,
      lease_id, session_id, cause, queued_at, finished_at)
    SELECT ${id}, org_id, id, ${key}, (SELECT count(*) FROM steps WHERE build_id = ${buildId}), ${spec}, ${shapeId},
      ${state}, ${active ? 1 : 0},
      ${active ? randomUUID() : null}, ${active ? (row.sessionId ?? newId("ses")) : null}, ${row.cause ?? ""},
      ${state === "waiting" ? null : sql`clock_timestamp()`}, ${OVER.has(state) ? sql`clock_timestamp()` : null}
    FROM builds WHERE id = ${buildId}`;
  for (const need of row.needs ?? [])
    await sql`INSERT INTO step_needs (step_id, need_id) SELECT ${id}, id FROM steps WHERE build_id = ${buildId} AND key = ${need}`;
  if (state === "queued") await sql`INSERT INTO queue (step_id, shape_id) VALUES (${id}, ${shapeId})`;
  return id;
}

async function plantShape(sql: Sql, buildId: string, row: StepRow): Promise<number> {
  const { requires = ["ritmo/executor=process"], pool = "default", cpuMillis = 0, memoryBytes = 0 } = row;
  const [shape] = await sql<{ id: number }[]>`
    INSERT INTO shapes (org_id, pool, requires, cpu_millis, memory_bytes)
    SELECT org_id, ${pool}, ${requires}, ${cpuMillis}, ${memoryBytes} FROM builds WHERE id = ${buildId}
    ON CONFLICT (org_id, pool, requires, cpu_millis, memory_bytes) DO UPDATE SET pool = excluded.pool RETURNING id`;
  return shape?.id as number;
}

interface WorkerRow {
  orgId?: string;
  pool?: string;
  state?: string;
  labels?: string[];
  executors?: string[];
  slots?: number;
  draining?: boolean;
  drainReason?: string;
  machine?: { cpus?: number; memory_bytes?: number };
}

/** A worker with one session; answers both ids. */
export async function plantWorker(
  sql: Sql,
  name: string,
  row: WorkerRow = {},
): Promise<{ id: string; sessionId: string }> {
  const id = newId("wrk");
  const sessionId = newId("ses");
  const { orgId = "org_default", pool = "default", state = "online", executors = ["process"] } = row;
  const { labels = [], slots = 2, draining = false, drainReason = "", machine = {} } = row;
  await sql`
    INSERT INTO workers (id, org_id, name, pool, labels, slots, executors, machine, state, draining, drain_reason,
      last_seen_at, online_since)
    VALUES (${id}, ${orgId}, ${name}, ${pool}, ${labels}, ${slots}, ${executors}, ${JSON.stringify(machine)}::text::jsonb,
      ${state}, ${draining}, ${drainReason}, ${state === "new" ? null : sql`clock_timestamp()`},
      ${state === "online" || state === "draining" ? sql`clock_timestamp()` : null})`;
  await sql`INSERT INTO sessions (id, org_id, worker_id, resume_key_hash, expires_at)
    VALUES (${sessionId}, ${orgId}, ${id}, 'x', clock_timestamp() + interval '1 hour')`;
  return { id, sessionId };
}

/** An attempt of a step on a worker, in the step's state. */
export async function plantAttempt(
  sql: Sql,
  stepId: string,
  worker: { id: string; sessionId: string },
  row: { number?: number; state?: string } = {},
): Promise<string> {
  const id = newId("att");
  const { number = 1, state = "running" } = row;
  await sql`
    INSERT INTO attempts (id, org_id, build_id, step_id, number, lease_id, session_id, worker_id, state, finished_at)
    SELECT ${id}, org_id, build_id, id, ${number}, coalesce(CASE WHEN attempt = ${number} THEN lease_id END, ${randomUUID()}),
      ${worker.sessionId}, ${worker.id}, ${state}, ${OVER.has(state) ? sql`clock_timestamp()` : null}
    FROM steps WHERE id = ${stepId}`;
  return id;
}
