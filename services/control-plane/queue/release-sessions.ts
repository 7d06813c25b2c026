import type { Db } from "../store/open-database.ts";
import { MAX_ERRORS } from "./decide-end.ts";

/** A step whose session is over. */
export interface ReleasedStep {
  stepId: string;
  buildId: string;
  orgId: string;
  pool: string;
  state: "queued" | "error" | "cancellation";
}

/**
 * Ends the leases of sessions that are over by the database's clock: their attempts end as our error, their steps
 * are queued again, or given up after the third time. Nobody's lease ends for two lease times after the database
 * itself was away, since no worker could renew then.
 *
 * `marginSeconds` is waited beyond the lease, so that a worker's own deadline comes first.
 */
export async function releaseExpired(db: Pick<Db, "sql">, marginSeconds: number): Promise<ReleasedStep[]> {
  return await release(
    db,
    db.sql`
      SELECT s.id FROM sessions s, pulse p
      WHERE s.expires_at < clock_timestamp() - ${marginSeconds} * interval '1 second'
        AND (p.grace_until < clock_timestamp() OR s.expires_at = '-infinity')
        AND EXISTS (SELECT FROM steps WHERE steps.session_id = s.id)
      LIMIT 100`,
    "WORKER_LOST",
    "Its worker was not heard of for longer than its lease.",
  );
}

/** Ends the leases of one session at once: its worker said that it has lost them, or was deleted. */
export async function releaseSession(db: Pick<Db, "sql">, sessionId: string, cause: string): Promise<ReleasedStep[]> {
  return await release(db, db.sql`SELECT ${sessionId}::text AS id`, "WORKER_LOST", cause);
}

/** Takes one lease back that its worker declined or never took up. It counts as our error. */
export async function releaseLease(db: Pick<Db, "sql">, leaseId: string, cause: string): Promise<ReleasedStep[]> {
  return await release(
    db,
    db.sql`SELECT session_id AS id FROM steps WHERE lease_id = ${leaseId}`,
    "NOT_TAKEN",
    cause,
    leaseId,
  );
}

async function release(
  { sql }: Pick<Db, "sql">,
  sessions: ReturnType<Db["sql"]>,
  reason: string,
  cause: string,
  onlyLease: string | null = null,
): Promise<ReleasedStep[]> {
  return await sql<ReleasedStep[]>`
    WITH gone AS (${sessions}),
    held AS (
      SELECT s.id, s.lease_id, s.cancel_requested_at IS NOT NULL AS cancelled, s.errors + 1 >= ${MAX_ERRORS} AS last,
        -- The build may have been cancelled after this statement began: then the step says so, and the build not yet.
        coalesce(nullif(b.cancel_reason, ''), 'The build was cancelled.') AS cancel_reason
      FROM steps s JOIN gone ON gone.id = s.session_id JOIN builds b ON b.id = s.build_id
      WHERE s.state IN ('leased', 'running', 'finishing')
        AND (${onlyLease}::uuid IS NULL OR s.lease_id = ${onlyLease}::uuid)
      -- No key is changed: whoever writes an artifact's row refers to the step, and has its attempt already.
      FOR NO KEY UPDATE OF s SKIP LOCKED),
    step AS (
      UPDATE steps SET
        state = CASE WHEN h.cancelled THEN 'cancellation' WHEN h.last THEN 'error' ELSE 'queued' END,
        errors = errors + CASE WHEN h.cancelled THEN 0 ELSE 1 END, lease_id = NULL, session_id = NULL,
        reason = CASE WHEN h.cancelled THEN 'CANCELLED' ELSE ${reason} END,
        cause = CASE WHEN h.cancelled THEN h.cancel_reason
          WHEN h.last THEN ${cause} || ${` It was tried ${MAX_ERRORS} times.`} ELSE ${cause} END,
        started_at = CASE WHEN h.cancelled OR h.last THEN started_at END,
        queued_at = CASE WHEN h.cancelled OR h.last THEN queued_at ELSE clock_timestamp() END,
        finished_at = CASE WHEN h.cancelled OR h.last THEN clock_timestamp() END
      FROM held h WHERE steps.id = h.id AND steps.lease_id = h.lease_id
      RETURNING steps.id, steps.build_id, steps.org_id, steps.shape_id, steps.state, h.lease_id, h.cancelled, h.cancel_reason),
    attempt AS (
      UPDATE attempts SET state = CASE WHEN t.cancelled THEN 'cancellation' ELSE 'error' END,
        reason = CASE WHEN t.cancelled THEN 'CANCELLED' ELSE ${reason} END,
        cause = CASE WHEN t.cancelled THEN t.cancel_reason ELSE ${cause} END,
        finished_at = clock_timestamp(), log_incomplete = true
      FROM step t WHERE attempts.lease_id = t.lease_id AND attempts.finished_at IS NULL),
    again AS (
      INSERT INTO queue (step_id, shape_id, order_key) OVERRIDING SYSTEM VALUE
      SELECT id, shape_id, 0 FROM step WHERE state = 'queued' ON CONFLICT (step_id) DO NOTHING)
    SELECT step.id AS "stepId", step.build_id AS "buildId", step.org_id AS "orgId", h.pool, step.state
    FROM step JOIN shapes h ON h.id = step.shape_id`;
}
