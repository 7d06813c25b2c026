import { randomUUID } from "node:crypto";
import { newId } from "../../process/new-id.ts";
import type { Db } from "../store/open-database.ts";

export interface Claimant {
  orgId: string;
  sessionId: string;
  workerId: string;
  pool: string;
  /** `k=v`, its executors among them as `ritmo/executor=…`. */
  labels: string[];
  freeSlots: number;
  freeCpuMillis: number;
  freeMemoryBytes: number;
}

/** A step that a session has leased, with all that its worker needs to know. */
export interface LeasedStep {
  leaseId: string;
  attemptId: string;
  attempt: number;
  stepId: string;
  spec: Buffer;
  cpuMillis: number;
  memoryBytes: number;
  buildId: string;
  buildNumber: number;
  job: string;
  repository: string;
  commit: string;
  sourceKind: "branch" | "tag" | "commit";
  sourceName: string;
  pool: string;
  waitedSeconds: number;
}

/** As many as one statement leases at most. */
export const MAX_CLAIM = 64;

/**
 * Leases the next steps that a session can run, in one statement: it finds them by the shapes that the worker's
 * labels cover, takes them off the queue, and writes their attempts. Answers none when the session is over.
 *
 * Whoever else moves a step out of `queued` deletes its queue row first, so that what is deleted here is moved here.
 */
export async function claimSteps({ sql }: Pick<Db, "sql">, by: Claimant): Promise<LeasedStep[]> {
  if (by.freeSlots <= 0) return [];
  const limit = Math.min(by.freeSlots, MAX_CLAIM);
  const ids = Array.from({ length: limit }, () => newId("att"));
  const leases = Array.from({ length: limit }, () => randomUUID());
  return await sql<LeasedStep[]>`
    WITH fitting AS MATERIALIZED (
      SELECT id, cpu_millis, memory_bytes FROM shapes
      WHERE org_id = ${by.orgId} AND pool = ${by.pool} AND requires <@ ${by.labels}::text[]
        AND cpu_millis <= ${by.freeCpuMillis} AND memory_bytes <= ${by.freeMemoryBytes}),
    found AS (
      SELECT q.step_id, q.priority, q.order_key, f.cpu_millis, f.memory_bytes
      FROM fitting f CROSS JOIN LATERAL (
        SELECT step_id, priority, order_key FROM queue
        WHERE shape_id = f.id AND available_at <= clock_timestamp()
        ORDER BY priority DESC, order_key LIMIT ${limit} FOR UPDATE SKIP LOCKED) q),
    summed AS (
      -- By rows: what was queued again shares one order key, and as peers none of it would fit where not all does.
      SELECT step_id, row_number() OVER w AS n, sum(cpu_millis) OVER w AS cpu, sum(memory_bytes) OVER w AS memory
      FROM found WINDOW w AS (ORDER BY priority DESC, order_key, step_id ROWS UNBOUNDED PRECEDING)),
    taken AS (
      DELETE FROM queue q USING summed s
      WHERE q.step_id = s.step_id AND s.n <= ${limit}
        AND s.cpu <= ${by.freeCpuMillis} AND s.memory <= ${by.freeMemoryBytes}
        AND EXISTS (SELECT FROM sessions, pulse WHERE sessions.id = ${by.sessionId} AND sessions.expires_at > '-infinity'
          AND (sessions.expires_at > clock_timestamp() OR pulse.grace_until > clock_timestamp()))
      RETURNING q.step_id, q.queued_at, s.n),
    leased AS (
      UPDATE steps SET state = 'leased', attempt = steps.attempt + 1, session_id = ${by.sessionId},
        lease_id = (${leases}::uuid[])[t.n::int], reason = '', cause = '', exit_code = NULL
      FROM taken t WHERE steps.id = t.step_id AND steps.state = 'queued'
      RETURNING steps.*, t.n, t.queued_at AS in_queue_at),
    begun AS (
      INSERT INTO attempts (id, org_id, build_id, step_id, number, lease_id, session_id, worker_id)
      SELECT (${ids}::text[])[l.n::int], l.org_id, l.build_id, l.id, l.attempt, l.lease_id, l.session_id, ${by.workerId}
      FROM leased l)
    SELECT l.lease_id AS "leaseId", (${ids}::text[])[l.n::int] AS "attemptId", l.attempt, l.id AS "stepId", l.spec,
      s.cpu_millis AS "cpuMillis", s.memory_bytes AS "memoryBytes", l.build_id AS "buildId",
      b.number AS "buildNumber", j.name AS job, b.repository, b.commit,
      b.source_kind AS "sourceKind", b.source_name AS "sourceName", s.pool,
      extract(epoch FROM clock_timestamp() - l.in_queue_at)::float8 AS "waitedSeconds"
    FROM leased l JOIN shapes s ON s.id = l.shape_id JOIN builds b ON b.id = l.build_id JOIN jobs j ON j.id = b.job_id
    ORDER BY l.n`;
}
