import { Refusal } from "../../process/refusal.ts";
import type { Sql } from "../store/open-database.ts";

export interface Cancelled {
  /** Sessions that have a step to stop. */
  sessions: string[];
}

/**
 * Asks a build to end: a PENDING one ends at once, steps that no worker has end at once, the others are asked to
 * stop. Call it in a transaction. Refuses with BUILD_OVER.
 *
 * The build comes first, in a statement of its own: it waits there for whoever opens or reopens the build, and only a
 * statement that begins after that sees the steps that were made meanwhile.
 */
export async function cancelBuild(sql: Sql, buildId: string, reason: string): Promise<Cancelled> {
  const [build] = await sql<{ reason: string }[]>`
    UPDATE builds SET cancel_requested_at = coalesce(cancel_requested_at, clock_timestamp()),
      cancel_reason = CASE WHEN cancel_requested_at IS NULL THEN ${reason} ELSE cancel_reason END,
      state = CASE WHEN state = 'pending' THEN 'cancellation' ELSE state END,
      reason = CASE WHEN state = 'pending' THEN 'CANCELLED' ELSE reason END,
      cause = CASE WHEN state = 'pending' THEN ${reason} ELSE cause END,
      finished_at = CASE WHEN state = 'pending' THEN clock_timestamp() END, revision = revision + 1
    WHERE id = ${buildId} AND state IN ('pending', 'running')
    RETURNING cancel_reason AS reason`;
  if (!build) throw await over(sql, buildId);
  const sessions = await cancelSteps(sql, buildId, build.reason);
  await sweepQueue(sql, buildId);
  return { sessions };
}

/**
 * Ends or asks to stop what is not over, and answers the sessions that have some of it. It takes the queue rows before
 * the steps, as a claim does, and the steps in the order in which finishes do, so that none of them waits for another
 * that waits for it; a step that a claim took first keeps its lease and is asked to stop. The counts keep that order,
 * as conditions, which are looked at once; joined they would be counted anew for every step.
 */
async function cancelSteps(sql: Sql, buildId: string, reason: string): Promise<string[]> {
  const [row] = await sql<{ sessions: string[] | null }[]>`
    WITH q AS (
      DELETE FROM queue WHERE step_id = ANY(ARRAY(SELECT id FROM steps WHERE build_id = ${buildId}
        AND state IN ('waiting', 'queued', 'leased', 'running', 'finishing'))) RETURNING step_id),
    held AS (
      SELECT steps.id FROM steps
      WHERE (SELECT count(*) FROM q) >= 0 AND steps.build_id = ${buildId}
        AND steps.state IN ('waiting', 'queued', 'leased', 'running', 'finishing')
      ORDER BY steps.id FOR NO KEY UPDATE OF steps),
    s AS (
      UPDATE steps SET cancel_requested_at = coalesce(cancel_requested_at, clock_timestamp()),
        state = CASE WHEN steps.state IN ('waiting', 'queued') THEN 'cancellation' ELSE steps.state END,
        finished_at = CASE WHEN steps.state IN ('waiting', 'queued') THEN clock_timestamp() END,
        reason = CASE WHEN steps.state IN ('waiting', 'queued') THEN 'CANCELLED' ELSE steps.reason END,
        cause = CASE WHEN steps.state IN ('waiting', 'queued') THEN ${reason} ELSE steps.cause END
      WHERE (SELECT count(*) FROM held) >= 0 AND steps.build_id = ${buildId}
        AND steps.state IN ('waiting', 'queued', 'leased', 'running', 'finishing')
      RETURNING steps.session_id)
    SELECT array_agg(DISTINCT session_id) FILTER (WHERE session_id IS NOT NULL) AS sessions FROM s`;
  return row?.sessions ?? [];
}

/**
 * Takes the places of steps that were queued while the steps were read: those ended all the same. Waits for nobody,
 * since a claim that has such a row takes it away itself and gets no step for it.
 */
async function sweepQueue(sql: Sql, buildId: string): Promise<void> {
  await sql`
    DELETE FROM queue WHERE step_id IN (
      SELECT q.step_id FROM queue q JOIN steps s ON s.id = q.step_id
      WHERE s.build_id = ${buildId} AND s.state = 'cancellation' FOR UPDATE OF q SKIP LOCKED)`;
}

async function over(sql: Sql, buildId: string): Promise<Refusal> {
  const [build] = await sql<{ state: string }[]>`SELECT state FROM builds WHERE id = ${buildId}`;
  return new Refusal("failed_precondition", "BUILD_OVER", `the build is over: it ended as ${build?.state}`);
}
