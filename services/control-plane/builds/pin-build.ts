import type { Sql } from "../store/open-database.ts";
import { buildExpired } from "./retry-build.ts";

/** Keeps a build whatever the rules of retention say. Refuses with BUILD_EXPIRED. */
export async function pinBuild(sql: Sql, buildId: string, by: string): Promise<void> {
  const [row] = await sql`
    UPDATE builds SET revision = revision + CASE WHEN pinned_at IS NULL THEN 1 ELSE 0 END,
      pinned_by = CASE WHEN pinned_at IS NULL THEN ${by} ELSE pinned_by END,
      pinned_at = coalesce(pinned_at, clock_timestamp())
    WHERE id = ${buildId} AND doomed_at IS NULL RETURNING id`;
  if (!row) throw buildExpired();
}

/** Leaves it to the rules again. Refuses with BUILD_EXPIRED. */
export async function unpinBuild(sql: Sql, buildId: string): Promise<void> {
  const [row] = await sql`
    UPDATE builds SET revision = revision + CASE WHEN pinned_at IS NULL THEN 0 ELSE 1 END,
      pinned_at = NULL, pinned_by = ''
    WHERE id = ${buildId} AND doomed_at IS NULL RETURNING id`;
  if (!row) throw buildExpired();
}
