import type { Db, Sql } from "../store/open-database.ts";

const BUILDS_AT_ONCE = 10;
const ROWS_AT_ONCE = 2_000;

/**
 * Deletes the rows of builds that are marked, and notes in the same transaction where their objects lie. A large build
 * goes in batches of its artifacts, attempts and steps; the build's own row goes last. Answers whether there may be more.
 * Any number of replicas may do so, and one may be killed anywhere: what is marked stays marked.
 */
export async function deleteDoomedBuilds({ db }: { db: Db }): Promise<boolean> {
  const doomed = await db.sql<{ id: string }[]>`
    SELECT id FROM builds WHERE doomed_at IS NOT NULL ORDER BY id LIMIT ${BUILDS_AT_ONCE}`;
  for (const { id } of doomed) {
    let left = true;
    while (left) left = await db.transaction((tx) => deleteSome(tx, id));
  }
  return doomed.length === BUILDS_AT_ONCE;
}

/** One batch of a build's rows, in the order in which they point at one another. Answers whether some are left. */
async function deleteSome(tx: Sql, buildId: string): Promise<boolean> {
  // Whoever holds it deletes the same.
  const [build] = await tx`
    SELECT FROM builds WHERE id = ${buildId} AND doomed_at IS NOT NULL FOR UPDATE SKIP LOCKED`;
  if (!build) return false;
  for (const table of ["artifacts", "attempts", "steps"] as const) {
    const { count } = await tx`
      DELETE FROM ${tx(table)} WHERE id IN (
        SELECT id FROM ${tx(table)} WHERE build_id = ${buildId} LIMIT ${ROWS_AT_ONCE})`;
    if (count === ROWS_AT_ONCE) return true;
  }
  await tx`
    WITH gone AS (DELETE FROM builds WHERE id = ${buildId} AND doomed_at IS NOT NULL RETURNING id, org_id)
    INSERT INTO doomed_objects (prefix, org_id) SELECT 'o/' || org_id || '/b/' || id || '/', org_id FROM gone
    ON CONFLICT (prefix) DO NOTHING`;
  return false;
}
