import { newId } from "../../process/new-id.ts";
import { notFound, Refusal } from "../../process/refusal.ts";
import type { Sql } from "../store/open-database.ts";

export interface BuildSource {
  kind: "branch" | "tag" | "commit";
  name: string;
}

export interface NewBuild {
  orgId: string;
  jobId: string;
  /** Absent: the job's default branch. */
  source: BuildSource | undefined;
  createdBy: string;
  /** So long it is the caller's to plan; absent: anybody's, at once. */
  plannedForSeconds?: number;
}

/**
 * Writes a PENDING build with its job's next number, and answers its id. Its commit and pipeline are read after the
 * call has been answered.
 * Refuses with JOB_PAUSED; NOT_FOUND when the job is gone.
 */
export async function createBuild(sql: Sql, build: NewBuild): Promise<string> {
  const id = newId("bld");
  const [row] = await sql`
    WITH job AS (
      UPDATE jobs SET next_number = next_number + 1
      WHERE id = ${build.jobId} AND org_id = ${build.orgId} AND deleted_at IS NULL AND NOT paused
      RETURNING id, org_id, next_number - 1 AS number, repository, default_branch)
    INSERT INTO builds (id, org_id, job_id, number, repository, source_kind, source_name, created_by,
      planned_until, plan_tries)
    SELECT ${id}, org_id, id, number, repository, ${build.source?.kind ?? "branch"},
      coalesce(${build.source?.name ?? null}, default_branch), ${build.createdBy},
      clock_timestamp() + ${build.plannedForSeconds ?? null}::float8 * interval '1 second',
      ${build.plannedForSeconds === undefined ? 0 : 1}
    FROM job
    RETURNING id`;
  if (!row) throw await whyNot(sql, build);
  return id;
}

async function whyNot(sql: Sql, build: NewBuild): Promise<Refusal> {
  const [job] = await sql<{ name: string; paused: boolean }[]>`
    SELECT name, paused FROM jobs WHERE id = ${build.jobId} AND org_id = ${build.orgId} AND deleted_at IS NULL`;
  if (!job) return notFound("job", build.jobId);
  return new Refusal(
    "failed_precondition",
    "JOB_PAUSED",
    `${job.name} is paused and takes no builds; \`ritmo job resume ${job.name}\` ends that`,
  );
}
