import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  CreateJobResponseSchema,
  DeleteJobResponseSchema,
  type Job,
  JobOrder,
  JobSchema,
  type JobService,
  UpdateJobResponseSchema,
} from "@ritmo/contract/ritmo/job/v1/job_pb.js";
import type { Core } from "../core.ts";
import { callerOf } from "../edge/context.ts";
import { once } from "../identity/once.ts";
import { checkNewJob } from "../jobs/check-job.ts";
import { createJob } from "../jobs/create-job.ts";
import { deleteJob } from "../jobs/delete-job.ts";
import { listJobs, readQuery } from "../jobs/list-jobs.ts";
import { readJob, readJobs } from "../jobs/read-jobs.ts";
import { readJobChange, updateJob } from "../jobs/update-job.ts";
import { resolveJob } from "../names/resolve.ts";
import { pageSize } from "./page-size.ts";
import { openPageTokens } from "./page-token.ts";

/** What people configure: each call decodes, does one verb, and answers. */
export function jobService({
  db,
  hints,
  config,
}: Pick<Core, "db" | "hints"> & { config: Pick<Core["config"], "allowLocalRepositories"> }): ServiceImpl<
  typeof JobService
> {
  const { sql } = db;
  const pages = openPageTokens(db);
  const rules = { allowLocal: config.allowLocalRepositories };
  const given = (job: Job | undefined) => job ?? create(JobSchema);
  return {
    async createJob(request, context) {
      const caller = callerOf(context);
      const fields = checkNewJob(given(request.job), rules);
      const response = await once(db, caller, "JobService/CreateJob", request, CreateJobResponseSchema, async (tx) => {
        const id = await createJob(tx, caller.orgId, fields);
        return create(CreateJobResponseSchema, { job: await readJob(tx, id) });
      });
      hints.send("events", caller.orgId);
      return response;
    },
    async getJob({ name }, context) {
      const { id } = await resolveJob(sql, callerOf(context).orgId, name);
      return { job: await readJob(sql, id) };
    },
    async listJobs(request, context) {
      const { orgId } = callerOf(context);
      const limit = pageSize(request.pageSize, { fallback: 50, max: 500 });
      const filters = { words: readQuery(request.query), newestFirst: request.order === JobOrder.CREATED_DESC };
      const list = { orgId, list: "jobs", filters };
      const [after] = (await pages.read<[string]>(list, request.pageToken)) ?? [];
      const rows = await listJobs(db, orgId, filters, { after, limit: limit + 1 });
      const last = rows.length > limit ? rows[limit - 1] : undefined;
      const jobs = await readJobs(
        sql,
        rows.slice(0, limit).map((row) => row.id),
      );
      return {
        jobs,
        nextPageToken: last ? await pages.write(list, [filters.newestFirst ? last.id : last.name]) : "",
      };
    },
    async updateJob(request, context) {
      const caller = callerOf(context);
      const change = readJobChange(given(request.job), request.updateMask?.paths ?? [], request.revision, rules);
      const response = await once(db, caller, "JobService/UpdateJob", request, UpdateJobResponseSchema, async (tx) => {
        const job = await resolveJob(tx, caller.orgId, request.name);
        await updateJob(tx, caller.orgId, job, change);
        return create(UpdateJobResponseSchema, { job: await readJob(tx, job.id) });
      });
      hints.send("events", caller.orgId);
      return response;
    },
    async deleteJob(request, context) {
      const caller = callerOf(context);
      const response = await once(db, caller, "JobService/DeleteJob", request, DeleteJobResponseSchema, async (tx) => {
        await deleteJob(tx, caller.orgId, await resolveJob(tx, caller.orgId, request.name));
        return create(DeleteJobResponseSchema);
      });
      hints.send("events", caller.orgId);
      return response;
    },
  };
}
