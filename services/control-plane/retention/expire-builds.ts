import type { Logger } from "../../process/logger.ts";
import type { Db, Sql } from "../store/open-database.ts";
import { chooseByPolicy, chooseByTotal, type ExpiredBuild, mayGo } from "./choose-builds.ts";
import { organizationBytes, type PolicyPart, policyOf, type RetentionConfig } from "./policy.ts";

export interface RetentionDeps {
  db: Db;
  logger: Logger;
  config: RetentionConfig;
}

const MARKED_AT_ONCE = 500;
const JOBS_AT_ONCE = 200;

/**
 * Marks what the rules take, in every organization: first by each job's own policy, then by what all jobs may keep
 * together. Answers how many were marked. Safe beside a build's retry, its pinning and another replica: the mark is one
 * statement that asks the protecting rules again.
 */
export async function expireBuilds({ db, logger, config }: RetentionDeps): Promise<number> {
  let marked = 0;
  const mark = async (chosen: ExpiredBuild[]) => {
    const gone = await markDoomed(db.sql, chosen);
    for (const { job, number, reason, bytes } of gone)
      logger.info({ build: `${job}#${number}`, reason, bytes }, "a build goes by the rules of retention");
    marked += gone.length;
    return gone.length === MARKED_AT_ONCE;
  };
  for await (const job of everyJob(db.sql)) {
    const policy = policyOf(config, job);
    const scope = { orgId: job.orgId, jobId: job.id };
    while (await mark(await chooseByPolicy(db.sql, scope, policy, MARKED_AT_ONCE)));
  }
  const total = organizationBytes(config);
  if (total === 0) return marked;
  for (const { id } of await db.sql<{ id: string }[]>`SELECT id FROM organizations`)
    while (await mark(await chooseByTotal(db.sql, id, total, MARKED_AT_ONCE)));
  return marked;
}

/** A job that was deleted keeps its builds by the same rules. */
async function* everyJob(sql: Sql): AsyncGenerator<PolicyPart & { id: string; orgId: string }> {
  for (let after = ""; ; ) {
    const jobs = await sql<(PolicyPart & { id: string; orgId: string })[]>`
      SELECT id, org_id AS "orgId", keep_days AS days, keep_builds AS builds, keep_bytes AS bytes
      FROM jobs WHERE id > ${after} ORDER BY id LIMIT ${JOBS_AT_ONCE}`;
    yield* jobs;
    if (jobs.length < JOBS_AT_ONCE) return;
    after = jobs.at(-1)?.id ?? after;
  }
}

async function markDoomed(sql: Sql, chosen: ExpiredBuild[]): Promise<ExpiredBuild[]> {
  if (chosen.length === 0) return [];
  const ids = chosen.map((build) => build.id);
  const rows = await sql<{ id: string }[]>`
    UPDATE builds b SET doomed_at = clock_timestamp()
    WHERE b.id = ANY (${ids}::text[]) AND b.doomed_at IS NULL AND ${mayGo(sql)} RETURNING b.id`;
  const marked = new Set(rows.map((row) => row.id));
  return chosen.filter((build) => marked.has(build.id));
}
