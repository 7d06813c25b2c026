import type { ServiceImpl } from "@connectrpc/connect";
import type { BuildService, ListBuildsRequest } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import { BuildOrder } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import { badField } from "../../process/refusal.ts";
import { explainStep } from "../builds/explain-step.ts";
import { type BuildFilters, listBuilds, readCommitFilter } from "../builds/list-builds.ts";
import { readBuild, readBuilds } from "../builds/read-build.ts";
import { listAttempts, listSteps, readStep } from "../builds/read-steps.ts";
import { BUILD_STATES, nameOfState, STEP_STATES } from "../builds/state-names.ts";
import { callerOf } from "../edge/context.ts";
import { resolveBuild, resolveJob, resolveStep } from "../names/resolve.ts";
import type { Db, Sql } from "../store/open-database.ts";
import { pageSize } from "./page-size.ts";
import { openPageTokens } from "./page-token.ts";

type BuildQueries = Pick<
  ServiceImpl<typeof BuildService>,
  "getBuild" | "listBuilds" | "getStep" | "listSteps" | "explainStep" | "listAttempts"
>;

/** The reading half of BuildService. `baseUrl` is the outside address of this server, for links. */
export function buildQueries({ db, baseUrl }: { db: Pick<Db, "sql">; baseUrl: string }): BuildQueries {
  const { sql } = db;
  const pages = openPageTokens(db);
  return {
    async getBuild({ name }, context) {
      const { id } = await resolveBuild(sql, callerOf(context).orgId, name);
      return { build: await readBuild(sql, id, baseUrl) };
    },
    async listBuilds(request, context) {
      const { orgId } = callerOf(context);
      const limit = pageSize(request.pageSize, { fallback: 50, max: 500 });
      const filters = await readFilters(sql, orgId, request);
      const list = { orgId, list: "builds", filters };
      const [after] = (await pages.read<[string]>(list, request.pageToken)) ?? [];
      const ids = await listBuilds(sql, orgId, filters, { after, limit: limit + 1 });
      const last = ids.length > limit ? ids[limit - 1] : undefined;
      return {
        builds: await readBuilds(sql, ids.slice(0, limit), baseUrl),
        nextPageToken: last === undefined ? "" : await pages.write(list, [last]),
      };
    },
    async getStep({ name }, context) {
      const { id } = await resolveStep(sql, callerOf(context).orgId, name);
      return { step: await readStep(sql, id) };
    },
    async listSteps(request, context) {
      const { orgId } = callerOf(context);
      const limit = pageSize(request.pageSize, { fallback: 200, max: 1_000 });
      const states = readStates(STEP_STATES, request.states);
      const { id } = await resolveBuild(sql, orgId, request.build, "build");
      const list = { orgId, list: "steps", filters: [id, states] };
      const [after] = (await pages.read<[number]>(list, request.pageToken)) ?? [];
      const steps = await listSteps(sql, id, states, { after, limit: limit + 1 });
      const last = steps.length > limit ? steps[limit - 1] : undefined;
      return {
        steps: steps.slice(0, limit),
        nextPageToken: last === undefined ? "" : await pages.write(list, [last.position]),
      };
    },
    async explainStep({ name }, context) {
      const { id } = await resolveStep(sql, callerOf(context).orgId, name);
      return await explainStep(sql, id);
    },
    async listAttempts({ step }, context) {
      const { id } = await resolveStep(sql, callerOf(context).orgId, step, "step");
      return { attempts: await listAttempts(sql, id) };
    },
  };
}

async function readFilters(sql: Sql, orgId: string, request: ListBuildsRequest): Promise<BuildFilters> {
  const { job, states, branch, commit, order } = request;
  return {
    jobId: job === "" ? undefined : (await resolveJob(sql, orgId, job, "job")).id,
    states: readStates(BUILD_STATES, states),
    branch: branch === "" ? undefined : readBranch(branch),
    commit: readCommitFilter(commit),
    oldestFirst: order === BuildOrder.CREATED_ASC,
  };
}

// What git allows in no ref's name matches none; a NUL can't even be asked for.
function readBranch(branch: string): string {
  if (branch.length > 255 || /[\p{Cc}\p{Cs}]/u.test(branch))
    throw badField("branch", "is longer than 255 characters or holds control characters");
  return branch;
}

function readStates<N extends string>(states: Record<N, number>, asked: number[]): N[] {
  const names = asked.map((state) => {
    const name = nameOfState(states, state);
    if (name === undefined) throw badField("states", `${state} is none of the states`);
    return name;
  });
  return [...new Set(names)].sort();
}
