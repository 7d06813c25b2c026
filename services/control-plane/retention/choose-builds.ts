import type { Sql } from "../store/open-database.ts";
import type { Policy } from "./policy.ts";

export type ExpiryReason = "AGE" | "COUNT" | "SIZE" | "ORGANIZATION_SIZE";

/** A build that the rules take. */
export interface ExpiredBuild {
  id: string;
  job: string;
  number: number;
  finishedAt: Date;
  bytes: number;
  reason: ExpiryReason;
}

/** Which builds are looked at: all of a job, or all of an organization. */
export interface Scope {
  orgId: string;
  jobId?: string;
}

// An attempt that can't be archived holds its build no longer than this.
const UNARCHIVED_DAYS = 7;

/**
 * The builds of a job that its policy takes, the oldest first. Never one that is pinned or not over, nor a job's newest
 * green one, nor one whose logs are still on their way into the store.
 */
export async function chooseByPolicy(
  sql: Sql,
  scope: Required<Scope>,
  policy: Policy,
  limit: number,
): Promise<ExpiredBuild[]> {
  const { days, builds, bytes } = policy;
  if (days === 0 && builds === 0 && bytes === 0) return [];
  const reason = sql`CASE
    WHEN ${days}::float8 > 0 AND finished_at < clock_timestamp() - ${days}::float8 * interval '1 day' THEN 'AGE'
    WHEN ${builds}::bigint > 0 AND place > ${builds}::bigint THEN 'COUNT'
    WHEN ${bytes}::bigint > 0 AND bytes_so_far > ${bytes}::bigint THEN 'SIZE' END`;
  return choose(sql, scope, reason, limit);
}

/** Those of an organization that go beyond what all its jobs may keep together. */
export async function chooseByTotal(
  sql: Sql,
  orgId: string,
  totalBytes: number,
  limit: number,
): Promise<ExpiredBuild[]> {
  if (totalBytes === 0) return [];
  const reason = sql`CASE WHEN bytes_so_far > ${totalBytes}::bigint THEN 'ORGANIZATION_SIZE' END`;
  return choose(sql, { orgId }, reason, limit);
}

async function choose(
  sql: Sql,
  { orgId, jobId }: Scope,
  reason: ReturnType<typeof sizeOf>,
  limit: number,
): Promise<ExpiredBuild[]> {
  // Of a job its numbers tell which is newer; across jobs only the time in the id does.
  const order = jobId === undefined ? sql`b.id` : sql`b.number`;
  return sql<ExpiredBuild[]>`
    WITH kept AS (
      SELECT b.id, b.job_id, b.number, b.finished_at, b.pinned_at, s.bytes, row_number() OVER w AS place,
        sum(s.bytes) OVER w AS bytes_so_far
      FROM builds b CROSS JOIN LATERAL (SELECT ${sizeOf(sql)} AS bytes) s
      WHERE b.org_id = ${orgId} ${jobId === undefined ? sql`` : sql`AND b.job_id = ${jobId}`} AND b.doomed_at IS NULL
      WINDOW w AS (ORDER BY ${order} DESC ROWS UNBOUNDED PRECEDING)),
    judged AS (SELECT *, ${reason} AS reason FROM kept)
    SELECT b.id, j.name AS job, b.number, b.finished_at AS "finishedAt", b.bytes::bigint AS bytes, b.reason
    FROM judged b JOIN jobs j ON j.id = b.job_id
    WHERE b.reason IS NOT NULL AND ${mayGo(sql)}
    ORDER BY ${order} LIMIT ${limit}`;
}

/** What a build keeps: as it was measured, or else counted now. */
export const sizeOf = (sql: Sql) => sql`coalesce(b.kept_bytes,
  (SELECT coalesce(sum(f.size_bytes), 0) FROM artifacts f WHERE f.build_id = b.id AND f.stored_at IS NOT NULL)
  + (SELECT coalesce(sum(a.log_end + a.prepare_end), 0) FROM attempts a WHERE a.build_id = b.id))`;

/** A condition on a build `b`: no rule protects it. Who marks one asks this again in the marking statement. */
export const mayGo = (sql: Sql) => sql`b.finished_at IS NOT NULL AND b.pinned_at IS NULL
  AND NOT EXISTS (SELECT FROM jobs j WHERE j.id = b.job_id AND j.deleted_at IS NULL AND b.id = (
    SELECT g.id FROM builds g WHERE g.job_id = j.id AND g.state = 'success' ORDER BY g.number DESC LIMIT 1))
  AND NOT EXISTS (SELECT FROM attempts a WHERE a.build_id = b.id AND a.archived_at IS NULL
    AND b.finished_at > clock_timestamp() - ${UNARCHIVED_DAYS}::integer * interval '1 day')`;
