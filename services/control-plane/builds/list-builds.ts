import { badField } from "../../process/refusal.ts";
import type { Sql } from "../store/open-database.ts";
import type { BuildStateName } from "./state-names.ts";

export interface BuildFilters {
  jobId?: string | undefined;
  /** None: any. */
  states: BuildStateName[];
  branch?: string | undefined;
  /** Hex, at least 7 digits. */
  commit?: string | undefined;
  oldestFirst: boolean;
}

/**
 * The ids of the builds of jobs that are there, after a position, in the order of their making (ids sort by their time). The next one is
 * found from the index whatever the page; with states it is one short walk for each.
 */
export async function listBuilds(
  sql: Sql,
  orgId: string,
  filters: BuildFilters,
  page: { after: string | undefined; limit: number },
): Promise<string[]> {
  const { jobId, states, branch, commit, oldestFirst } = filters;
  const order = oldestFirst ? sql`ASC` : sql`DESC`;
  const past = oldestFirst ? sql`b.id > ${page.after ?? ""}` : sql`b.id < ${page.after ?? ""}`;
  const where = sql`b.org_id = ${orgId}
    ${page.after === undefined ? sql`` : sql`AND ${past}`}
    ${jobId === undefined ? sql`AND NOT EXISTS (SELECT FROM jobs j WHERE j.id = b.job_id AND j.deleted_at IS NOT NULL)` : sql`AND b.job_id = ${jobId}`}
    ${branch === undefined ? sql`` : sql`AND b.source_kind = 'branch' AND b.source_name = ${branch}`}
    ${commit === undefined ? sql`` : sql`AND b.commit LIKE ${`${commit}%`}`}`;
  const inOneState = (state: BuildStateName) =>
    sql`(SELECT b.id FROM builds b WHERE ${where} AND b.state = ${state} ORDER BY b.id ${order} LIMIT ${page.limit})`;
  const found =
    states.length === 0
      ? sql`SELECT b.id FROM builds b WHERE ${where}`
      : states.map(inOneState).reduce((all, one) => sql`${all} UNION ALL ${one}`);
  const rows = await sql<{ id: string }[]>`
    SELECT b.id FROM (${found}) b ORDER BY b.id ${order} LIMIT ${page.limit}`;
  return rows.map((row) => row.id);
}

/** A commit to look for, in lower case; INVALID_ARGUMENT for what is no hash or is too short to tell commits apart. */
export function readCommitFilter(text: string): string | undefined {
  if (text === "") return undefined;
  if (!/^[0-9a-f]{7,64}$/i.test(text)) throw badField("commit", "is no hash of 7 to 64 hex digits");
  return text.toLowerCase();
}
