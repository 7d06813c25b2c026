import { type Diagnostic, Severity } from "@ritmo/contract/ritmo/pipeline/v1/pipeline_pb.js";
import type { Core } from "../core.ts";
import { makePlan, type Plan } from "../pipeline/make-plan.ts";
import { readPipelineApart } from "../pipeline/read-pipeline-apart.ts";
import { readSource, type SourceAnswer, SourceProblem } from "../source/read-source.ts";
import type { Sql } from "../store/open-database.ts";
import { isDatabaseAway } from "../store/read-database-error.ts";
import { type BuildEnd, endPendingBuild } from "./end-build.ts";
import { openBuild } from "./open-build.ts";

// A planner that dies, or that lost the database, is replaced after this time; one that lives renews its claim.
export const PLAN_SECONDS = 15;
const RENEW_EVERY_MS = 4_000;
const MAX_TRIES = 4;
// Beyond it new builds wait in the table, where all replicas look.
const PLANS_AT_ONCE = 16;
let planning = 0;
const DEFAULT_PATH = ".ritmo.yaml";

interface PendingBuild {
  id: string;
  orgId: string;
  number: number;
  job: string;
  repository: string;
  sourceKind: "branch" | "tag" | "commit";
  sourceName: string;
  pipelinePath: string | null;
  pipelineText: string | null;
  tries: number;
}

/** Plans at most `limit` pending builds, each to steps or to an end with a reason; answers how many it took. */
export async function planPendingBuilds(core: Core, limit: number): Promise<number> {
  const builds = await core.db.sql<PendingBuild[]>`
    WITH mine AS (
      UPDATE builds SET planned_until = clock_timestamp() + ${PLAN_SECONDS} * interval '1 second',
        plan_tries = plan_tries + 1
      WHERE id IN (
        SELECT id FROM builds
        WHERE state = 'pending' AND (planned_until IS NULL OR planned_until < clock_timestamp())
        ORDER BY id LIMIT ${limit} FOR UPDATE SKIP LOCKED)
      RETURNING *)
    SELECT ${pendingBuild(core.db.sql)} FROM mine b JOIN jobs j ON j.id = b.job_id`;
  await Promise.all(builds.map((build) => planBuild(core, build)));
  return builds.length;
}

/**
 * Plans a build that was created with `plannedForSeconds` of PLAN_SECONDS, by the replica that created it. Never
 * rejects: what comes in between leaves the build to whoever looks when that time is up.
 */
export async function planCreatedBuild(core: Core, buildId: string): Promise<void> {
  const mine = planning++ < PLANS_AT_ONCE;
  try {
    if (!mine) return await leaveToOthers(core, buildId);
    const [build] = await core.db.sql<PendingBuild[]>`
      SELECT ${pendingBuild(core.db.sql)} FROM builds b JOIN jobs j ON j.id = b.job_id
      WHERE b.id = ${buildId} AND b.state = 'pending'`;
    if (build) await planBuild(core, build);
  } catch (reason) {
    core.logger.warn({ err: reason, build: buildId }, "a new build could not be planned at once");
  } finally {
    planning--;
  }
}

async function leaveToOthers({ db, hints }: Core, buildId: string): Promise<void> {
  await db.sql`
    UPDATE builds SET planned_until = NULL, plan_tries = plan_tries - 1 WHERE id = ${buildId} AND state = 'pending'`;
  hints.send("plan");
}

/** Columns of a build `b` and its job `j`. */
function pendingBuild(sql: Sql) {
  return sql`b.id, b.org_id AS "orgId", b.number, j.name AS job, b.repository, b.source_kind AS "sourceKind",
    b.source_name AS "sourceName", j.pipeline_path AS "pipelinePath", j.pipeline_text AS "pipelineText",
    b.plan_tries AS tries`;
}

async function planBuild(core: Core, build: PendingBuild): Promise<void> {
  const renewing = setInterval(() => void renewClaim(core, build.id), RENEW_EVERY_MS);
  const end = await tryToOpen(core, build).finally(() => clearInterval(renewing));
  if (end && (await endPendingBuild(core.db, build.id, end))) core.metrics.builds.inc({ result: end.outcome });
  core.hints.send("events", build.orgId);
}

async function renewClaim({ db, logger }: Core, id: string): Promise<void> {
  try {
    await db.sql`
      UPDATE builds SET planned_until = clock_timestamp() + ${PLAN_SECONDS} * interval '1 second'
      WHERE id = ${id} AND state = 'pending'`;
  } catch (reason) {
    logger.debug(
      { err: reason, build: id },
      "a claim on a plan could not be renewed; it may be planned twice, and opened once",
    );
  }
}

async function tryToOpen(core: Core, build: PendingBuild): Promise<BuildEnd | undefined> {
  if (build.tries > MAX_TRIES) {
    return {
      outcome: "error",
      reason: "PLANNING_FAILED",
      cause: `The build could not be planned in ${MAX_TRIES} tries, because the control plane stopped each time. Start a new build; when that fails too, look at the control plane's log.`,
    };
  }
  try {
    const source = await readBuildSource(core, build);
    const planned = await planText(build, source);
    if ("outcome" in planned) return planned;
    const opened = await openBuild(core.db, build, source, planned);
    for (const pool of opened?.pools ?? []) core.hints.send("queue", pool);
    return undefined;
  } catch (reason) {
    if (reason instanceof SourceProblem) {
      return { outcome: reason.outcome, reason: reason.reason, cause: reason.message };
    }
    // Ours, and perhaps gone next time: the claim on the plan runs out and a replica tries again.
    core.logger.error({ err: reason, build: build.id }, "planning a build failed");
    if (isDatabaseAway(reason)) await planAgainSoon(core, build.id);
    return undefined;
  }
}

/** A database that was away is no fault of the plan: it costs no try, and no wait until the claim runs out. */
async function planAgainSoon({ db, logger }: Core, id: string): Promise<void> {
  try {
    await db.sql`
      UPDATE builds SET planned_until = clock_timestamp() + interval '1 second', plan_tries = plan_tries - 1
      WHERE id = ${id} AND state = 'pending' AND plan_tries > 0`;
  } catch (reason) {
    logger.debug({ err: reason, build: id }, "a claim on a plan could not be given back; it runs out");
  }
}

async function readBuildSource(core: Core, build: PendingBuild): Promise<SourceAnswer> {
  if (build.repository === "") return { commit: "", authorName: "", authorEmail: "", message: "" };
  const path = build.pipelineText === null ? (build.pipelinePath ?? DEFAULT_PATH) : undefined;
  return await readSource(
    {
      repository: build.repository,
      kind: build.sourceKind,
      name: build.sourceName,
      ...(path === undefined ? {} : { path }),
    },
    {
      credentialsFile: core.config.gitCredentials,
      allowLocal: core.config.allowLocalRepositories,
      signal: core.stopping,
    },
  );
}

async function planText(build: PendingBuild, source: SourceAnswer): Promise<Plan | BuildEnd> {
  const file = build.pipelineText === null ? (build.pipelinePath ?? DEFAULT_PATH) : `the pipeline of ${build.job}`;
  const { diagnostics, pipeline } = await readPipelineApart(build.pipelineText ?? source.pipelineText ?? "", file);
  const errors = diagnostics.filter((d) => d.severity === Severity.ERROR);
  if (!pipeline || errors.length > 0) {
    return { outcome: "failure", reason: "PIPELINE_INVALID", cause: describe(errors), diagnostics, commit: source };
  }
  const bare = build.repository === "" ? pipeline.steps.find((step) => step.checkout) : undefined;
  if (bare) {
    return {
      outcome: "failure",
      reason: "NO_REPOSITORY",
      cause: `The step ${bare.name} checks out the repository, and ${build.job} has none. Set \`checkout: false\` in the step, or give the job a repository.`,
    };
  }
  return makePlan(pipeline);
}

function describe(errors: Diagnostic[]): string {
  const first = errors[0];
  if (!first) return "The pipeline has no steps.";
  const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : "";
  const fix = first.fix ? ` ${first.fix}` : "";
  return `${first.file}:${first.line}:${first.column}: ${first.message}.${fix}${more}`.replace("..", ".");
}
