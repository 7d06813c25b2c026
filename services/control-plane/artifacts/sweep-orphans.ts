import type { Logger } from "../../process/logger.ts";
import type { BlobStore } from "../store/blobs.ts";
import type { Db } from "../store/open-database.ts";

const ORPHAN_AGE_MS = 24 * 60 * 60 * 1000;
const ROWS_AT_ONCE = 100;

interface Orphan {
  id: string;
  key: string;
  uploadId: string | null;
}

/**
 * Removes what was uploaded and never became part of a build: uploads of attempts that are over, older than a day.
 * One that can't be removed holds up none behind it, and is tried again at the next sweep; where not one of a hundred
 * can, the store is away. Safe beside another replica and after a kill: the row goes last.
 */
export async function sweepOrphans(
  deps: { db: Pick<Db, "sql">; blobs: BlobStore; logger: Logger },
  now: Date,
): Promise<void> {
  const before = new Date(now.getTime() - ORPHAN_AGE_MS);
  for (let after = ""; ; ) {
    const rows = await deps.db.sql<Orphan[]>`
      SELECT f.id, f.object_key AS key, f.upload_id AS "uploadId"
      FROM artifacts f JOIN attempts a ON a.id = f.attempt_id
      WHERE f.stored_at IS NULL AND a.finished_at IS NOT NULL AND f.created_at < ${before} AND f.id > ${after}
      ORDER BY f.id LIMIT ${ROWS_AT_ONCE}`;
    const failed = await removeEach(deps, rows);
    if (failed.length > 0) {
      const about = { err: failed[0], failed: failed.length };
      deps.logger.warn(about, "uploads that nobody needs could not be removed; they are tried again");
    }
    if (rows.length < ROWS_AT_ONCE || failed.length === rows.length) return;
    after = rows.at(-1)?.id ?? after;
  }
}

/** Answers why some could not be removed. */
async function removeEach(deps: { db: Pick<Db, "sql">; blobs: BlobStore }, rows: Orphan[]): Promise<unknown[]> {
  const failed: unknown[] = [];
  for (const row of rows) {
    try {
      await remove(deps, row);
    } catch (reason) {
      failed.push(reason);
    }
  }
  return failed;
}

async function remove({ db, blobs }: { db: Pick<Db, "sql">; blobs: BlobStore }, row: Orphan): Promise<void> {
  if (row.uploadId !== null) await blobs.signed?.abortParts(row.key, row.uploadId);
  await blobs.growing?.drop(row.key);
  await blobs.delete(row.key);
  await db.sql`DELETE FROM artifacts WHERE id = ${row.id} AND stored_at IS NULL`;
}
