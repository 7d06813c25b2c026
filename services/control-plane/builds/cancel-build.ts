import { Refusal } from "../../process/refusal.ts";
import type { Sql } from "../store/open-database.ts";

export interface Cancelled {
  /** Sessions that have a step to stop. */
  sessions: string[];
}

/**
 * Asks a build to end: a PENDING one ends at once, steps that no worker has end at once, the others are asked to
 * stop. One statement. It takes the queue rows before the steps, in the order in which a claim does, so that the two
 * never wait for each other; a step that a claim took first keeps its lease and is asked to stop.
 * Refuses with BUILD_OVER.
 */
export async function cancelBuild(sql: Sql, buildId: string, reason: string): Promise<Cancelled> {
  const [row] = await sql<{ state: string | null; sessions: string[] | null }[]>`
    WITH b AS (
      UPDATE builds SET cancel_requested_at = coalesce(cancel_requested_at, clock_timestamp()),
        cancel_reason = CASE WHEN cancel_requested_at IS NULL THEN ${reason} ELSE cancel_reason END,
        state = CASE WHEN state = 'pending' THEN 'cancellation' ELSE state END,
        reason = CASE WHEN state = 'pending' THEN 'CANCELLED' ELSE reason END,
        cause = CASE WHEN state = 'pending' THEN ${reason} ELSE cause END,
        finished_at = CASE WHEN state = 'pending' THEN clock_timestamp() END, revision = revision + 1
      WHERE id = ${buildId} AND state IN ('pending', 'running')
      RETURNING id, state, cancel_reason),
    q AS (
      DELETE FROM queue USING steps s, b WHERE s.build_id = b.id AND queue.step_id = s.id RETURNING queue.step_id),
    mine AS (
      -- In the order in which finishes lock as well.
      SELECT steps.id FROM steps, b, (SELECT count(*) FROM q) AS queue_first
      WHERE steps.build_id = b.id AND steps.state IN ('waiting', 'queued', 'leased', 'running', 'finishing')
      ORDER BY steps.id FOR UPDATE OF steps),
    s AS (
      UPDATE steps SET cancel_requested_at = coalesce(cancel_requested_at, clock_timestamp()),
        state = CASE WHEN steps.state IN ('waiting', 'queued') THEN 'cancellation' ELSE steps.state END,
        finished_at = CASE WHEN steps.state IN ('waiting', 'queued') THEN clock_timestamp() END,
        reason = CASE WHEN steps.state IN ('waiting', 'queued') THEN 'CANCELLED' ELSE steps.reason END,
        cause = CASE WHEN steps.state IN ('waiting', 'queued') THEN b.cancel_reason ELSE steps.cause END
      FROM b, mine WHERE steps.id = mine.id AND steps.state IN ('waiting', 'queued', 'leased', 'running', 'finishing')
      RETURNING steps.session_id)
    SELECT (SELECT state FROM b) AS state,
      (SELECT array_agg(DISTINCT session_id) FILTER (WHERE session_id IS NOT NULL) FROM s) AS sessions`;
  if (row?.state) return { sessions: row.sessions ?? [] };
  const [build] = await sql<{ state: string }[]>`SELECT state FROM builds WHERE id = ${buildId}`;
  throw new Refusal("failed_precondition", "BUILD_OVER", `the build is over: it ended as ${build?.state}`);
}
