import { and, desc, eq, gt, ilike, isNull, lt, sql } from "drizzle-orm";
import { badField } from "../../process/refusal.ts";
import type { Db } from "../store/open-database.ts";
import { jobs } from "../store/schema.ts";

export interface JobFilters {
  /** Each must be in the name or the description. */
  words: string[];
  newestFirst: boolean;
}

const MAX_QUERY = 200;

/** The ids and names of the jobs after a position: a name, or an id where the newest come first. */
export async function listJobs(
  { orm }: Pick<Db, "orm">,
  orgId: string,
  { words, newestFirst }: JobFilters,
  { after, limit }: { after: string | undefined; limit: number },
): Promise<{ id: string; name: string }[]> {
  // Names are ordered byte by byte, whatever the database's own collation is.
  const byName = sql`${jobs.name} COLLATE "C"`;
  const past = newestFirst ? lt(jobs.id, after ?? "") : gt(byName, after ?? "");
  const about = sql`${jobs.name} || ' ' || ${jobs.description}`;
  const matching = words.map((word) => ilike(about, `%${word.replace(/[\\%_]/g, "\\$&")}%`));
  return await orm
    .select({ id: jobs.id, name: jobs.name })
    .from(jobs)
    .where(and(eq(jobs.org_id, orgId), isNull(jobs.deleted_at), ...matching, after === undefined ? undefined : past))
    .orderBy(newestFirst ? desc(jobs.id) : byName)
    .limit(limit);
}

/** The words of a query. INVALID_ARGUMENT for what no text can hold. */
export function readQuery(query: string): string[] {
  if (query.length > MAX_QUERY || /[\0\p{Cs}]/u.test(query))
    throw badField("query", `is longer than ${MAX_QUERY} characters or no text`);
  return query.split(/\s+/).filter((word) => word !== "");
}
