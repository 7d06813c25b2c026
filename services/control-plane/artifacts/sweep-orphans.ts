import type { BlobStore } from "../store/blobs.ts";
import type { Db } from "../store/open-database.ts";

const ORPHAN_AGE_MS = 24 * 60 * 60 * 1000;
const ROWS_AT_ONCE = 100;

/**
 * Removes what was uploaded and never became part of a build: uploads of attempts that are over, older than a day.
 * Answers whether there may be more. Safe beside another replica and after a kill: the row goes last.
 */
export async function sweepOrphans(
  { db, blobs }: { db: Pick<Db, "sql">; blobs: BlobStore },
  now: Date,
): Promise<boolean> {
  const before = new Date(now.getTime() - ORPHAN_AGE_MS);
  const rows = await db.sql<{ id: string; key: string; uploadId: string | null }[]>`
    SELECT f.id, f.object_key AS key, f.upload_id AS "uploadId"
    FROM artifacts f JOIN attempts a ON a.id = f.attempt_id
    WHERE f.stored_at IS NULL AND a.finished_at IS NOT NULL AND f.created_at < ${before}
    ORDER BY f.id LIMIT ${ROWS_AT_ONCE}`;
  for (const row of rows) {
    if (row.uploadId !== null) await blobs.signed?.abortParts(row.key, row.uploadId);
    await blobs.growing?.drop(row.key);
    await blobs.delete(row.key);
    await db.sql`DELETE FROM artifacts WHERE id = ${row.id} AND stored_at IS NULL`;
  }
  return rows.length === ROWS_AT_ONCE;
}
