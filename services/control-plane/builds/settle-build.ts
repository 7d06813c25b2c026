import type { Core } from "../core.ts";
import { type BuildOutcome, decideOutcome, type EndedStep } from "./decide-advance.ts";

interface Facts {
  orgId: string;
  revision: number;
  cancelled: boolean;
  cancelReason: string;
  steps: EndedStep[];
}

/**
 * Ends a running build whose steps are all over. A statement of its own, so that of two last steps one sees both; and
 * only as long as the build was not cancelled or reopened since they were read.
 */
export async function settleBuild(core: Pick<Core, "db" | "hints" | "metrics">, buildId: string): Promise<boolean> {
  const facts = await core.db.sql<Facts[]>`
    SELECT b.org_id AS "orgId", b.revision, b.cancel_requested_at IS NOT NULL AS cancelled, b.cancel_reason AS "cancelReason",
      (SELECT jsonb_agg(t ORDER BY t.first) FROM (
        -- One of each state is enough to decide, the one that ended first.
        SELECT DISTINCT ON (s.state) s.state, s.key, s.reason, s.cause, s.finished_at AS first
        FROM steps s WHERE s.build_id = b.id ORDER BY s.state, s.finished_at, s.position) t) AS steps
    FROM builds b
    WHERE b.id = ${buildId} AND b.state = 'running'
      AND NOT EXISTS (SELECT FROM steps s WHERE s.build_id = b.id
        AND s.state IN ('waiting', 'queued', 'leased', 'running', 'finishing'))`;
  const row = facts[0];
  if (!row?.steps) return false;
  const outcome = decideOutcome(row.steps, row.cancelled ? { reason: row.cancelReason } : undefined);
  return await settle(core, buildId, row, outcome);
}

async function settle(
  core: Pick<Core, "db" | "hints" | "metrics">,
  buildId: string,
  { orgId, revision }: Facts,
  outcome: BuildOutcome,
): Promise<boolean> {
  const [row] = await core.db.sql<{ seconds: number }[]>`
    UPDATE builds SET state = ${outcome.state}, reason = ${outcome.reason}, cause = ${outcome.cause},
      finished_at = clock_timestamp(), revision = revision + 1
    WHERE id = ${buildId} AND state = 'running' AND revision = ${revision}
      AND NOT EXISTS (SELECT FROM steps s WHERE s.build_id = ${buildId}
        AND s.state IN ('waiting', 'queued', 'leased', 'running', 'finishing'))
    RETURNING extract(epoch FROM finished_at - created_at)::float8 AS seconds`;
  if (!row) return false;
  core.metrics.builds.inc({ result: outcome.state });
  core.metrics.buildDuration.observe(row.seconds);
  core.hints.send("events", orgId);
  return true;
}
