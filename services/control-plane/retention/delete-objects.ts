import type { Logger } from "../../process/logger.ts";
import type { BlobStore } from "../store/blobs.ts";
import type { Db } from "../store/open-database.ts";

const PREFIXES_AT_ONCE = 10;
const DELETES_AT_ONCE = 8;
const CLAIM_SECONDS = 300;
const REST_SECONDS = 60;

interface ObjectDeps {
  db: Pick<Db, "sql">;
  blobs: BlobStore;
  logger: Logger;
}

/**
 * Removes the objects of builds whose rows are gone, and the uploads that were under way there. What the store refuses
 * is tried again, ever less often. Answers whether there may be more.
 */
export async function deleteDoomedObjects({ db, blobs, logger }: ObjectDeps): Promise<boolean> {
  const rows = await db.sql<{ prefix: string; tries: number }[]>`
    UPDATE doomed_objects SET tries = tries + 1,
      after = clock_timestamp() + ${CLAIM_SECONDS}::integer * interval '1 second'
    WHERE prefix IN (
      SELECT prefix FROM doomed_objects WHERE after <= clock_timestamp()
      ORDER BY after LIMIT ${PREFIXES_AT_ONCE} FOR UPDATE SKIP LOCKED)
    RETURNING prefix, tries`;
  for (const { prefix, tries } of rows) {
    try {
      await deleteAll(blobs, prefix);
      await db.sql`DELETE FROM doomed_objects WHERE prefix = ${prefix}`;
    } catch (reason) {
      logger.warn({ err: reason, prefix, tries }, "objects could not be removed; it is tried again");
      const seconds = Math.min(REST_SECONDS * 2 ** Math.min(tries, 10), 6 * 3600);
      await db.sql`
        UPDATE doomed_objects SET after = clock_timestamp() + ${seconds}::integer * interval '1 second'
        WHERE prefix = ${prefix}`;
    }
  }
  return rows.length === PREFIXES_AT_ONCE;
}

async function deleteAll(blobs: BlobStore, prefix: string): Promise<void> {
  if (blobs.signed)
    for await (const { key, uploadId } of blobs.signed.listUploads(prefix))
      await blobs.signed.abortParts(key, uploadId);
  if (blobs.growing) for await (const { key } of blobs.growing.list(prefix)) await blobs.growing.drop(key);
  let batch: string[] = [];
  const flush = async () => {
    await Promise.all(batch.map((key) => blobs.delete(key)));
    batch = [];
  };
  for await (const { key } of blobs.list(prefix)) {
    batch.push(key);
    if (batch.length === DELETES_AT_ONCE) await flush();
  }
  await flush();
}
