import type { Sql } from "../store/open-database.ts";

/** The organization's name. */
export async function readOrganization(sql: Sql, id: string): Promise<string> {
  const [row] = await sql<{ name: string }[]>`SELECT name FROM organizations WHERE id = ${id}`;
  return row?.name ?? "";
}
