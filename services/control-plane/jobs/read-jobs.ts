import type { Job } from "@ritmo/contract/ritmo/job/v1/job_pb.js";
import type { Sql } from "../store/open-database.ts";
import { type JobRow, jobMessage } from "./job-message.ts";

/** Jobs as the contract tells them, in the order of the ids; ids that are not there, or deleted, are left out. */
export async function readJobs(sql: Sql, jobIds: string[]): Promise<Job[]> {
  if (jobIds.length === 0) return [];
  const rows = await sql<JobRow[]>`
    SELECT j.*, b.id AS build_id, b.number AS build_number, b.state AS build_state, b.created_at AS build_created_at
    FROM unnest(${jobIds}::text[]) WITH ORDINALITY AS wanted(id, n) JOIN jobs j ON j.id = wanted.id
    LEFT JOIN LATERAL (
      SELECT id, number, state, created_at FROM builds WHERE job_id = j.id ORDER BY number DESC LIMIT 1) b ON true
    WHERE j.deleted_at IS NULL
    ORDER BY wanted.n`;
  return rows.map(jobMessage);
}

/** One job, which must be there: callers resolve its name first. */
export async function readJob(sql: Sql, jobId: string): Promise<Job> {
  const [job] = await readJobs(sql, [jobId]);
  if (!job) throw new Error(`the job ${jobId} is gone`);
  return job;
}
