import type { Sql } from "../store/open-database.ts";
import type { DatabaseLife } from "./decide-life.ts";

/** Reads what the database says of its life. */
export async function readLife(sql: Sql): Promise<DatabaseLife> {
  const [row] = await sql<DatabaseLife[]>`
    SELECT i.installation, i.id, i.number, p.beats, i.place <> database_place() AS moved FROM incarnation i, pulse p`;
  if (!row) throw new Error("incarnation or pulse has no row");
  return row;
}
