import { badField } from "../../process/refusal.ts";
import type { Sql } from "../store/open-database.ts";

export interface JobFilters {
  /** Each must be in the name or the description. */
  words: string[];
  newestFirst: boolean;
}

const MAX_QUERY = 200;

/** The ids and names of the jobs after a position: a name, or an id where the newest come first. */
export async function listJobs(
  sql: Sql,
  orgId: string,
  { words, newestFirst }: JobFilters,
  page: { after: string | undefined; limit: number },
): Promise<{ id: string; name: string }[]> {
  const past = newestFirst ? sql`id < ${page.after ?? ""}` : sql`name > ${page.after ?? ""} COLLATE "C"`;
  const patterns = words.map((word) => `%${word.replace(/[\\%_]/g, "\\$&")}%`);
  return await sql<{ id: string; name: string }[]>`
    SELECT id, name FROM jobs
    WHERE org_id = ${orgId} AND deleted_at IS NULL
      AND (name || ' ' || description) ILIKE ALL (${patterns}::text[])
      ${page.after === undefined ? sql`` : sql`AND ${past}`}
    ORDER BY ${newestFirst ? sql`id DESC` : sql`name COLLATE "C"`} LIMIT ${page.limit}`;
}

/** The words of a query. INVALID_ARGUMENT for what no text can hold. */
export function readQuery(query: string): string[] {
  if (query.length > MAX_QUERY || /[\0\p{Cs}]/u.test(query))
    throw badField("query", `is longer than ${MAX_QUERY} characters or no text`);
  return query.split(/\s+/).filter((word) => word !== "");
}
