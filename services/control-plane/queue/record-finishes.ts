import type { Sql } from "../store/open-database.ts";
import type { EndDecision } from "./decide-end.ts";
import type { FinishedAttempt } from "./finish-step.ts";

export interface DecidedFinish {
  finish: FinishedAttempt;
  decision: EndDecision;
  facts: {
    /** Whether a cancel was known when it was decided. */
    cancelRequested: boolean;
  };
}

export interface RecordedFinish {
  leaseId: string;
  orgId: string;
  pool: string;
  seconds: number | undefined;
}

/**
 * Ends attempts and their steps as was decided, each if its lease still is the step's and nobody asked it to stop
 * meanwhile: the guard, the moves and the queue in one statement. Answers those that it ended.
 */
export async function recordFinishes(sql: Sql, decided: DecidedFinish[]): Promise<RecordedFinish[]> {
  if (decided.length === 0) return [];
  return await sql<RecordedFinish[]>`
    WITH r AS MATERIALIZED (
      SELECT * FROM jsonb_to_recordset(${sql.json(decided.map(rowOf) as never)}) AS r(
        lease uuid, result uuid, step text, attempt text, reason text, cause text, error integer, exit_code integer,
        signal text, out_of_memory boolean, failed_entry integer, started_at timestamptz, ran_seconds float8,
        log_final bigint, log_sha256 text, log_dropped bigint, cancelled boolean)),
    held AS (
      -- In one order, so that two who move several steps never wait for each other.
      SELECT s.id, s.lease_id, a.leased_at FROM r JOIN attempts a ON a.lease_id = r.lease
        JOIN steps s ON s.id = a.step_id AND s.lease_id = r.lease
      ORDER BY s.id FOR NO KEY UPDATE OF s),
    step AS (
      UPDATE steps SET state = r.step, lease_id = NULL, session_id = NULL, exit_code = r.exit_code,
        reason = r.reason, cause = r.cause, errors = errors + r.error,
        started_at = CASE WHEN r.step <> 'queued' THEN coalesce(steps.started_at,
          greatest(held.leased_at, clock_timestamp() - r.ran_seconds * interval '1 second')) END,
        queued_at = CASE WHEN r.step <> 'queued' THEN steps.queued_at ELSE clock_timestamp() END,
        finished_at = CASE WHEN r.step <> 'queued' THEN clock_timestamp() END
      FROM held JOIN r ON r.lease = held.lease_id
      WHERE steps.id = held.id AND steps.lease_id = r.lease AND steps.state IN ('leased', 'running', 'finishing')
        AND (steps.cancel_requested_at IS NOT NULL) = r.cancelled
      RETURNING steps.id, r.lease, steps.state, steps.org_id, steps.shape_id, steps.started_at, steps.finished_at),
    attempt AS (
      UPDATE attempts SET state = r.attempt, result_id = r.result, exit_code = r.exit_code, signal = r.signal,
        out_of_memory = r.out_of_memory, failed_entry = r.failed_entry, reason = r.reason, cause = r.cause,
        started_at = coalesce(attempts.started_at, r.started_at), finished_at = clock_timestamp(),
        log_final = r.log_final, log_sha256 = decode(r.log_sha256, 'hex'), log_dropped = r.log_dropped
      FROM step JOIN r ON r.lease = step.lease WHERE attempts.lease_id = r.lease
      RETURNING attempts.lease_id),
    again AS (
      -- In front: it has waited already.
      INSERT INTO queue (step_id, shape_id, order_key) OVERRIDING SYSTEM VALUE
      SELECT id, shape_id, 0 FROM step WHERE state = 'queued')
    SELECT step.lease AS "leaseId", step.org_id AS "orgId", h.pool,
      extract(epoch FROM step.finished_at - step.started_at)::float8 AS seconds
    FROM step JOIN attempt ON attempt.lease_id = step.lease JOIN shapes h ON h.id = step.shape_id`;
}

function rowOf({ finish, decision, facts }: DecidedFinish) {
  const { startedAt, endedAt, logSha256 } = finish;
  return {
    lease: finish.leaseId,
    result: finish.resultId,
    step: decision.step,
    attempt: decision.attempt,
    reason: decision.reason,
    cause: decision.cause,
    error: decision.error ? 1 : 0,
    exit_code: finish.end.kind === "exited" ? finish.end.code : null,
    signal: finish.end.kind === "signalled" ? finish.end.signal : "",
    out_of_memory: finish.end.kind === "outOfMemory",
    failed_entry: finish.failedEntry,
    started_at: startedAt?.toISOString() ?? null,
    // By the worker's clock on both ends, whatever time it shows.
    ran_seconds: startedAt && endedAt ? Math.max(0, (endedAt.getTime() - startedAt.getTime()) / 1000) : 0,
    log_final: finish.finalOffset,
    log_sha256: logSha256.length > 0 ? Buffer.from(logSha256).toString("hex") : null,
    log_dropped: finish.droppedLogBytes,
    cancelled: facts.cancelRequested,
  };
}
