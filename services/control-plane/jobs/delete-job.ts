import { Refusal } from "../../process/refusal.ts";
import { unknownName } from "../names/refuse-name.ts";
import type { JobRef } from "../names/resolve.ts";
import type { Sql } from "../store/open-database.ts";

/**
 * Removes a job from sight; its builds stay. FAILED_PRECONDITION JOB_BUSY while builds are pending or running.
 *
 * The row is locked first, in a statement of its own: who numbers a build locks it too, so that the next statement
 * sees every build that was made before, and none is made after.
 */
export async function deleteJob(tx: Sql, orgId: string, job: JobRef): Promise<void> {
  await tx`SELECT FROM jobs WHERE id = ${job.id} AND org_id = ${orgId} FOR UPDATE`;
  const [row] = await tx`
    UPDATE jobs SET deleted_at = clock_timestamp(), revision = revision + 1
    WHERE id = ${job.id} AND org_id = ${orgId} AND deleted_at IS NULL
      AND NOT EXISTS (SELECT FROM builds WHERE job_id = jobs.id AND state IN ('pending', 'running'))
    RETURNING id`;
  if (!row) throw await whyNot(tx, job);
}

async function whyNot(tx: Sql, job: JobRef): Promise<Refusal> {
  const [row] = await tx<{ busy: number; newest: number }[]>`
    SELECT count(b.id)::int AS busy, max(b.number) AS newest
    FROM jobs j LEFT JOIN builds b ON b.job_id = j.id AND b.state IN ('pending', 'running')
    WHERE j.id = ${job.id} AND j.deleted_at IS NULL HAVING count(j.id) > 0`;
  if (!row) return unknownName("job", job.name);
  const builds =
    row.busy === 1 ? `${job.name}#${row.newest} is` : `${row.busy} builds, ${job.name}#${row.newest} the newest, are`;
  return new Refusal("failed_precondition", "JOB_BUSY", `${builds} not over; cancel what is pending or running first`);
}
