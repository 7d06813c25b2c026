import { badField, Refusal } from "../../process/refusal.ts";
import type { Sql } from "../store/open-database.ts";

const RUNNING = new Set(["pending", "running"]);

interface RetriedStep {
  id: string;
  key: string;
  state: string;
  needs: string[];
}

/**
 * Reopens a build that is over: its steps that did not succeed, or the named ones, wait again, and so does what was
 * skipped or comes after them. Call it in a transaction; advanceBuild afterwards queues what is ready.
 * Refuses with BUILD_RUNNING, BUILD_EXPIRED, NO_PLAN, NOTHING_TO_RETRY, and INVALID_ARGUMENT for a step that isn't there.
 */
export async function retryBuild(tx: Sql, buildId: string, keys: string[]): Promise<void> {
  const [build] = await tx<{ state: string; stepCount: number; doomed: boolean }[]>`
    SELECT state, step_count AS "stepCount", doomed_at IS NOT NULL AS doomed FROM builds WHERE id = ${buildId} FOR UPDATE`;
  if (!build || RUNNING.has(build.state)) {
    throw new Refusal(
      "failed_precondition",
      "BUILD_RUNNING",
      "the build is not over; cancel it first, or wait for its end",
    );
  }
  if (build.doomed) throw buildExpired();
  if (build.stepCount === 0) {
    throw new Refusal(
      "failed_precondition",
      "NO_PLAN",
      "the build ended before it had steps; start a new build instead",
    );
  }
  const steps = await tx<RetriedStep[]>`
    SELECT s.id, s.key, s.state, coalesce(array_agg(n.need_id) FILTER (WHERE n.need_id IS NOT NULL), '{}') AS needs
    FROM steps s LEFT JOIN step_needs n ON n.step_id = s.id
    WHERE s.build_id = ${buildId} GROUP BY s.id ORDER BY s.position`;
  const chosen = chooseSteps(steps, keys);
  await tx`
    UPDATE builds SET state = 'running', reason = '', cause = '', cancel_requested_at = NULL, cancel_reason = '',
      finished_at = NULL, revision = revision + 1
    WHERE id = ${buildId} AND state NOT IN ('pending', 'running')`;
  await tx`
    UPDATE steps SET state = 'waiting', errors = 0, exit_code = NULL, reason = '', cause = '', cancel_requested_at = NULL,
      queued_at = NULL, started_at = NULL, finished_at = NULL
    WHERE id = ANY(${chosen})`;
}

/** Retention has marked the build. */
export function buildExpired(): Refusal {
  return new Refusal(
    "failed_precondition",
    "BUILD_EXPIRED",
    "retention is taking this build away; start a new build instead",
  );
}

/** What is tried again: the named steps or all that did not succeed, and everything unsuccessful that follows them. */
export function chooseSteps(steps: RetriedStep[], keys: string[]): string[] {
  const byKey = new Map(steps.map((step) => [step.key, step]));
  for (const key of keys) {
    const step = byKey.get(key);
    if (!step) throw badField("steps", `the build has no step ${JSON.stringify(key)}`);
    if (step.state === "success")
      throw new Refusal("failed_precondition", "NOTHING_TO_RETRY", `${key} succeeded; there is nothing to retry`);
  }
  const open = steps.filter((step) => step.state !== "success");
  const openIds = new Set(open.map((step) => step.id));
  const chosen = new Set(
    keys.length > 0 ? keys.map((key) => (byKey.get(key) as RetriedStep).id) : open.map((step) => step.id),
  );
  if (chosen.size === 0)
    throw new Refusal("failed_precondition", "NOTHING_TO_RETRY", "every step succeeded; there is nothing to retry");
  for (let size = 0; size < chosen.size; ) {
    size = chosen.size;
    for (const step of open) {
      // What did not succeed is opened with what it needs and with what needs it: neither could end well alone.
      if (chosen.has(step.id)) for (const need of step.needs) if (openIds.has(need)) chosen.add(need);
      if (step.needs.some((need) => chosen.has(need))) chosen.add(step.id);
    }
  }
  return [...chosen];
}
