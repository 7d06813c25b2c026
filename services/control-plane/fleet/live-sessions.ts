import type { Sql } from "../store/open-database.ts";

/** The sessions of a worker that have not ended: at most one, but for a moment in which another takes its place. */
export async function liveSessions(sql: Sql, workerId: string): Promise<string[]> {
  const rows = await sql<{ id: string }[]>`
    SELECT id FROM sessions WHERE worker_id = ${workerId} AND expires_at > '-infinity' ORDER BY id DESC LIMIT 10`;
  return rows.map((row) => row.id);
}
