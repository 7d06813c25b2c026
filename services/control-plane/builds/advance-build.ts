import type { Core } from "../core.ts";
import type { Sql } from "../store/open-database.ts";
import { type Advance, decideAdvance, type WaitingStep } from "./decide-advance.ts";
import { settleBuild } from "./settle-build.ts";

type Advancing = Pick<Core, "db" | "hints" | "metrics" | "logger">;

/**
 * Draws the consequences of what is over in a build: opens or skips the steps that waited for it, and settles the
 * build when none is left. Decides from what is committed and moves by guarded statements, so that any replica may
 * run it again at any time: a build that was cancelled, reopened or ended since it was read is left to whoever did so.
 * `ended` narrows it to what depends on those steps; without it the whole build is looked at.
 */
export async function advanceBuild(core: Advancing, buildId: string, ended?: string[]): Promise<void> {
  let frontier = ended;
  for (;;) {
    const waiting = await readWaiting(core.db.sql, buildId, frontier);
    const moved = await move(core, { ...waiting, buildId });
    // A skipped step is over, and others may wait for it.
    if (moved.length === 0) break;
    frontier = moved;
  }
  await settleBuild(core, buildId);
}

/**
 * The waiting steps about which something is to be decided, with those needs that ended otherwise than well. Joined and
 * grouped rather than looked up step by step: a plan that is made before the tables are analyzed is then never worse
 * than linear, also for a step that ten thousand wait for.
 */
async function readWaiting(sql: Sql, buildId: string, frontier: string[] | undefined) {
  const only = frontier ? sql`AND w.id IN (SELECT step_id FROM step_needs WHERE need_id = ANY(${frontier}))` : sql``;
  const rows = await sql<(WaitingStep & { cancelRequested: boolean; revision: number })[]>`
    SELECT w.id, w.key, b.cancel_requested_at IS NOT NULL AS "cancelRequested", b.revision,
      coalesce(jsonb_agg(jsonb_build_object('key', d.key, 'state', d.state) ORDER BY d.position)
        FILTER (WHERE d.finished_at IS NOT NULL AND d.state <> 'success'), '[]') AS needs
    FROM builds b JOIN steps w ON w.build_id = b.id
      LEFT JOIN step_needs n ON n.step_id = w.id LEFT JOIN steps d ON d.id = n.need_id
    WHERE b.id = ${buildId} AND w.state = 'waiting' ${only}
    GROUP BY b.id, w.id
    HAVING b.cancel_requested_at IS NOT NULL
      OR bool_or(d.finished_at IS NOT NULL AND d.state <> 'success') IS TRUE
      OR bool_and(d.id IS NULL OR d.finished_at IS NOT NULL)`;
  return { steps: rows, cancelRequested: rows[0]?.cancelRequested ?? false, revision: rows[0]?.revision ?? 0 };
}

interface Waiting {
  buildId: string;
  /** The build's when its steps were read: a retry makes steps wait again that this reading saw before. */
  revision: number;
  steps: WaitingStep[];
  cancelRequested: boolean;
}

/** Moves what can be moved, and answers the ids of the steps that are over by it. */
async function move(core: Advancing, { buildId, revision, steps, cancelRequested }: Waiting): Promise<string[]> {
  const { sql } = core.db;
  // Locked as whoever cancels or reopens a build does, so that the two never hold steps that the other waits for.
  const unchanged = sql`
    b AS (SELECT id FROM builds WHERE id = ${buildId} AND state = 'running' AND revision = ${revision} FOR NO KEY UPDATE)`;
  const decided = steps.map((step) => ({ step, advance: decideAdvance(step, cancelRequested) }));
  const ready = decided.filter((d) => d.advance.to === "queued").map((d) => d.step.id);
  const over = decided.flatMap((d) => endOf(d.step, d.advance));
  if (ready.length > 0) {
    const rows = await sql<{ pool: string; orgId: string }[]>`
      WITH ${unchanged},
      moved AS (
        UPDATE steps SET state = 'queued', queued_at = clock_timestamp() FROM b
        WHERE steps.build_id = b.id AND steps.id = ANY(${ready}) AND steps.state = 'waiting'
        RETURNING steps.id, steps.org_id, steps.shape_id, steps.position),
      queued AS (INSERT INTO queue (step_id, shape_id) SELECT id, shape_id FROM moved ORDER BY position
        ON CONFLICT (step_id) DO NOTHING)
      SELECT DISTINCT s.pool, m.org_id AS "orgId" FROM moved m JOIN shapes s ON s.id = m.shape_id`;
    for (const row of rows) core.hints.send("queue", row.pool);
    if (rows[0]) core.hints.send("events", rows[0].orgId);
  }
  if (over.length === 0) return [];
  const rows = await sql<{ id: string }[]>`
    WITH ${unchanged}
    UPDATE steps SET state = r.state, reason = r.reason, cause = r.cause, finished_at = clock_timestamp()
    FROM b, jsonb_to_recordset(${sql.json(over as never)}) AS r(id text, state text, reason text, cause text)
    WHERE steps.id = r.id AND steps.build_id = b.id AND steps.state = 'waiting' RETURNING steps.id`;
  return rows.map((row) => row.id);
}

function endOf(step: WaitingStep, advance: Advance) {
  if (advance.to === "cancellation") {
    return [{ id: step.id, state: "cancellation", reason: "CANCELLED", cause: "The build was cancelled." }];
  }
  if (advance.to !== "skip") return [];
  const cause = `Skipped, because ${advance.because.join(", ")} did not succeed.`;
  return [{ id: step.id, state: "skip", reason: "NEED_FAILED", cause }];
}
