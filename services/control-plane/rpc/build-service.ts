import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  type BuildService,
  CancelBuildResponseSchema,
  type CreateBuildRequest,
  CreateBuildResponseSchema,
  RetryBuildResponseSchema,
} from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import { badField } from "../../process/refusal.ts";
import { advanceBuild } from "../builds/advance-build.ts";
import { cancelBuild } from "../builds/cancel-build.ts";
import { type BuildSource, createBuild } from "../builds/create-build.ts";
import { PLAN_SECONDS, planCreatedBuild } from "../builds/plan-build.ts";
import { readBuild } from "../builds/read-build.ts";
import { retryBuild } from "../builds/retry-build.ts";
import type { Core } from "../core.ts";
import { callerOf } from "../edge/context.ts";
import { once } from "../identity/once.ts";
import { resolveBuild, resolveJob } from "../names/resolve.ts";
import { buildQueries } from "./build-queries.ts";
import { buildRetention } from "./build-retention.ts";

const MAX_REF_LENGTH = 250;
const MAX_REASON_LENGTH = 500;
const MAX_RETRIED_STEPS = 1_000;

export function buildService(core: Core): ServiceImpl<typeof BuildService> {
  const { db, hints, url } = core;
  return {
    ...buildQueries({ db, baseUrl: url }),
    ...buildRetention(core),
    async createBuild(request, context) {
      const caller = callerOf(context);
      const { orgId } = caller;
      const source = readBuildSource(request);
      let buildId = "";
      const response = await once(db, caller, "CreateBuild", request, CreateBuildResponseSchema, async (tx) => {
        const { id: jobId } = await resolveJob(tx, orgId, request.job);
        const plannedForSeconds = PLAN_SECONDS;
        buildId = await createBuild(tx, { orgId, jobId, source, createdBy: caller.name, plannedForSeconds });
        return create(CreateBuildResponseSchema, { build: await readBuild(tx, buildId, url) });
      });
      // Empty when the call was a repetition.
      if (buildId) void planCreatedBuild(core, buildId);
      hints.send("events", caller.orgId);
      return response;
    },
    async cancelBuild(request, context) {
      const caller = callerOf(context);
      if (request.reason.length > MAX_REASON_LENGTH)
        throw badField("reason", `is over ${MAX_REASON_LENGTH} characters`);
      const reason = `Cancelled by ${caller.name}${request.reason ? `: ${request.reason}` : ""}.`;
      let sessions: string[] = [];
      let buildId = "";
      const response = await once(db, caller, "CancelBuild", request, CancelBuildResponseSchema, async (tx) => {
        ({ id: buildId } = await resolveBuild(tx, caller.orgId, request.name));
        ({ sessions } = await cancelBuild(tx, buildId, reason));
        return create(CancelBuildResponseSchema, { build: await readBuild(tx, buildId, url) });
      });
      for (const session of sessions) hints.send("session", session);
      hints.send("events", caller.orgId);
      if (buildId) await advanceBuild(core, buildId);
      return response;
    },
    async retryBuild(request, context) {
      const caller = callerOf(context);
      if (request.steps.length > MAX_RETRIED_STEPS) throw badField("steps", `names over ${MAX_RETRIED_STEPS} steps`);
      let buildId = "";
      const response = await once(db, caller, "RetryBuild", request, RetryBuildResponseSchema, async (tx) => {
        ({ id: buildId } = await resolveBuild(tx, caller.orgId, request.name));
        await retryBuild(tx, buildId, request.steps);
        return create(RetryBuildResponseSchema, { build: await readBuild(tx, buildId, url) });
      });
      hints.send("events", caller.orgId);
      if (buildId) await advanceBuild(core, buildId);
      return response;
    },
  };
}

function readBuildSource({ source }: CreateBuildRequest): BuildSource | undefined {
  if (source.case === undefined || source.value === "") return undefined;
  const { case: kind, value: name } = source;
  if (kind === "commit") {
    if (!/^[0-9a-fA-F]{7,64}$/.test(name)) throw badField("commit", "is not 7 to 64 hex digits of a commit's hash");
    return { kind, name: name.toLowerCase() };
  }
  const fault = faultOfRef(name);
  if (fault) throw badField(kind, fault);
  return { kind, name };
}

/** What git's own rules (git-check-ref-format(1)) say against a name. */
export function faultOfRef(name: string): string | undefined {
  if (name.length > MAX_REF_LENGTH) return `is over ${MAX_REF_LENGTH} characters`;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused.
  if (/[\x00-\x20\x7f~^:?*[\\]/.test(name)) return "has a character that git allows in no name";
  if (/^[-/]|\/$|\.$|\.\.|\/\/|@\{|(^|\/)\.|\.lock(\/|$)/.test(name) || name === "@")
    return "is no name that git allows";
  return undefined;
}
