import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  type BuildService,
  PinBuildResponseSchema,
  type PreviewRetentionRequest,
  UnpinBuildResponseSchema,
} from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import { badField } from "../../process/refusal.ts";
import { pinBuild, unpinBuild } from "../builds/pin-build.ts";
import { readBuild } from "../builds/read-build.ts";
import type { Core } from "../core.ts";
import { callerOf } from "../edge/context.ts";
import { once } from "../identity/once.ts";
import { MAX_KEEP } from "../jobs/check-job.ts";
import { resolveBuild, resolveJob } from "../names/resolve.ts";
import type { PolicyPart } from "../retention/policy.ts";
import { previewRetention } from "../retention/preview-retention.ts";
import { pageSize } from "./page-size.ts";

type BuildRetention = Pick<ServiceImpl<typeof BuildService>, "pinBuild" | "unpinBuild" | "previewRetention">;

/** The part of BuildService that is about what is kept. */
export function buildRetention({ db, config, url }: Pick<Core, "db" | "config" | "url">): BuildRetention {
  return {
    async pinBuild(request, context) {
      const caller = callerOf(context);
      return once(db, caller, "PinBuild", request, PinBuildResponseSchema, async (tx) => {
        const { id } = await resolveBuild(tx, caller.orgId, request.name);
        await pinBuild(tx, id, caller.name);
        return create(PinBuildResponseSchema, { build: await readBuild(tx, id, url) });
      });
    },
    async unpinBuild(request, context) {
      const caller = callerOf(context);
      return once(db, caller, "UnpinBuild", request, UnpinBuildResponseSchema, async (tx) => {
        const { id } = await resolveBuild(tx, caller.orgId, request.name);
        await unpinBuild(tx, id);
        return create(UnpinBuildResponseSchema, { build: await readBuild(tx, id, url) });
      });
    },
    async previewRetention(request, context) {
      const { orgId } = callerOf(context);
      const rules = readRules(request);
      const limit = pageSize(request.pageSize, { fallback: 50, max: 500 });
      const jobId = request.job === "" ? undefined : (await resolveJob(db.sql, orgId, request.job, "job")).id;
      const { builds, totalBuilds, totalBytes } = await previewRetention(db.sql, config, {
        orgId,
        jobId,
        rules,
        limit,
      });
      return {
        builds: builds.map(({ id, job, number, finishedAt, bytes, reason }) => ({
          id,
          name: `${job}#${number}`,
          finishedAt: timestampFromDate(finishedAt),
          bytes: BigInt(bytes),
          reason,
        })),
        totalBuilds: BigInt(totalBuilds),
        totalBytes: BigInt(totalBytes),
      };
    },
  };
}

function readRules({ days, builds, bytes }: PreviewRetentionRequest): PolicyPart {
  const rules = { days, builds, bytes: bytes === undefined ? undefined : Number(bytes) };
  for (const field of ["days", "builds", "bytes"] as const)
    if ((rules[field] ?? 0) > MAX_KEEP[field]) throw badField(field, `is over ${MAX_KEEP[field]}`);
  return rules;
}
