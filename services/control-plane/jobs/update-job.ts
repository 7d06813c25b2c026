import type { Job } from "@ritmo/contract/ritmo/job/v1/job_pb.js";
import { badField, Refusal } from "../../process/refusal.ts";
import { unknownName } from "../names/refuse-name.ts";
import type { JobRef } from "../names/resolve.ts";
import type { Sql } from "../store/open-database.ts";
import { type JobFields, type JobRules, jobFaults, refuseFaults, retentionFields } from "./check-job.ts";
import { jobExists } from "./create-job.ts";

const UNIQUE_VIOLATION = "23505";

export interface JobChange {
  fields: Partial<JobFields>;
  /** 0: whatever revision the job has. */
  revision: number;
}

/** The new values of the fields that a mask names. INVALID_ARGUMENT for an empty or unknown mask, or a bad value. */
export function readJobChange(job: Job, paths: string[], revision: bigint, rules: JobRules): JobChange {
  if (paths.length === 0) throw badField("update_mask", "names no field; say which to change");
  if (revision > BigInt(Number.MAX_SAFE_INTEGER)) throw badField("revision", "is not one that a job can have");
  const fields = Object.assign({}, ...paths.map((path) => fieldOf(job, path))) as Partial<JobFields>;
  if (paths.includes("pipeline_path") && paths.includes("pipeline_text"))
    throw badField("update_mask", "names both pipeline_path and pipeline_text; the pipeline lives in one place");
  refuseFaults(jobFaults(fields, rules));
  return { fields, revision: Number(revision) };
}

function fieldOf(job: Job, path: string): Partial<JobFields> {
  const { name, repository, defaultBranch, description, paused, pipeline } = job;
  switch (path) {
    case "name":
      return { name };
    case "repository":
      return { repository };
    case "default_branch":
      return { default_branch: defaultBranch };
    case "description":
      return { description };
    case "paused":
      return { paused };
    case "retention":
      return retentionFields(job);
    case "pipeline_path":
      if (pipeline.case !== "pipelinePath") throw badField("job.pipeline_path", "is named by the mask and not given");
      return { pipeline_path: pipeline.value, pipeline_text: null };
    case "pipeline_text":
      if (pipeline.case !== "pipelineText") throw badField("job.pipeline_text", "is named by the mask and not given");
      return { pipeline_text: pipeline.value, pipeline_path: null };
    default:
      throw badField(
        "update_mask",
        `${JSON.stringify(path.slice(0, 60))} can't be changed; name, repository, default_branch, description, pipeline_path, pipeline_text, paused and retention can`,
      );
  }
}

/** Changes a job. NOT_FOUND; ABORTED REVISION_MISMATCH; ALREADY_EXISTS JOB_EXISTS; INVALID_ARGUMENT. */
export async function updateJob(tx: Sql, orgId: string, job: JobRef, change: JobChange): Promise<void> {
  const { fields, revision } = change;
  const rows = await tx`
    UPDATE jobs SET ${tx(fields)}, revision = revision + 1, updated_at = clock_timestamp()
    WHERE id = ${job.id} AND org_id = ${orgId} AND deleted_at IS NULL AND (${revision} = 0 OR revision = ${revision})
    RETURNING repository, pipeline_text IS NULL AS needs_repository`.catch((reason: { code?: string }) => {
    throw reason.code === UNIQUE_VIOLATION ? jobExists(fields.name ?? job.name) : reason;
  });
  const [row] = rows;
  if (row?.["repository"] === "" && row["needs_repository"])
    throw badField("job.repository", "is empty, and the pipeline is to be read from it");
  if (!row) throw await whyNot(tx, job, revision);
}

async function whyNot(tx: Sql, job: JobRef, revision: number): Promise<Refusal> {
  const [row] = await tx<{ revision: number }[]>`
    SELECT revision FROM jobs WHERE id = ${job.id} AND deleted_at IS NULL`;
  if (!row) return unknownName("job", job.name);
  return new Refusal(
    "aborted",
    "REVISION_MISMATCH",
    `${job.name} was changed since revision ${revision}; it is at ${row.revision}. Read it again, then change it`,
    { metadata: { revision: String(row.revision) } },
  );
}
