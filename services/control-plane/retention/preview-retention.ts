import type { Sql } from "../store/open-database.ts";
import { chooseByPolicy, chooseByTotal, type ExpiredBuild } from "./choose-builds.ts";
import { organizationBytes, type PolicyPart, policyOf, type RetentionConfig } from "./policy.ts";

export interface Preview {
  /** The oldest of them. */
  builds: ExpiredBuild[];
  totalBuilds: number;
  totalBytes: number;
}

const ALL = 1_000_000;

/**
 * What the rules would take now of one job or of all of an organization's, with other rules instead where some are given.
 * Changes nothing.
 */
export async function previewRetention(
  sql: Sql,
  config: RetentionConfig,
  { orgId, jobId, rules, limit }: { orgId: string; jobId: string | undefined; rules: PolicyPart; limit: number },
): Promise<Preview> {
  const found = new Map<string, ExpiredBuild>();
  const jobs = await sql<(PolicyPart & { id: string })[]>`
    SELECT id, keep_days AS days, keep_builds AS builds, keep_bytes AS bytes FROM jobs
    WHERE org_id = ${orgId} ${jobId === undefined ? sql`` : sql`AND id = ${jobId}`} ORDER BY id`;
  for (const job of jobs) {
    const scope = { orgId, jobId: job.id };
    for (const build of await chooseByPolicy(sql, scope, policyOf(config, rules, job), ALL)) found.set(build.id, build);
  }
  if (jobId === undefined)
    for (const build of await chooseByTotal(sql, orgId, organizationBytes(config), ALL))
      if (!found.has(build.id)) found.set(build.id, build);
  const all = [...found.values()].sort((a, b) => a.finishedAt.getTime() - b.finishedAt.getTime());
  return {
    builds: all.slice(0, limit),
    totalBuilds: all.length,
    totalBytes: all.reduce((sum, build) => sum + build.bytes, 0),
  };
}
