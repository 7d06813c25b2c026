import type { Logger } from "../../process/logger.ts";
import type { BlobStore } from "../store/blobs.ts";
import type { Db, Sql } from "../store/open-database.ts";

/** What no row knows is left alone for so long: it may be on its way, or its row may be restored. */
const STRAY_AGE_MS = 12 * 60 * 60 * 1000;
/** How often everything is listed. */
export const LISTED_EVERY_HOURS = 6;
const AT_ONCE = 500;
const ARTIFACT = /^o\/[^/]+\/b\/[^/]+\/l\/[^/]+\/a\/[0-9a-f]{64}-(art_[0-9a-z]{26})$/;
const LOG = /^o\/[^/]+\/b\/[^/]+\/l\/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\/log-[12]\.zst(?:\.idx)?$/;

interface StrayDeps {
  db: Pick<Db, "sql">;
  blobs: BlobStore;
  logger: Logger;
  stopping: AbortSignal;
}

export interface Strays {
  objects: number;
  uploads: number;
}

/**
 * Lists the whole store and removes what no row knows and is older than twelve hours: objects, uploads that nobody
 * ended, files that stopped growing. Keys of another form than ours are nobody's business here. Answers how many went.
 */
export async function sweepStrays({ db, blobs, logger, stopping }: StrayDeps, now: Date): Promise<Strays> {
  const before = new Date(now.getTime() - STRAY_AGE_MS);
  const gone: Strays = { objects: 0, uploads: 0 };
  const old = <T>(of: AsyncIterable<T>, at: (one: T) => Date) => batchesOf(of, (one) => at(one) < before, stopping);
  for await (const batch of old(blobs.list("o/"), (one) => one.modifiedAt)) {
    const known = await knownKeys(db.sql, batch);
    for (const { key } of batch.filter((one) => !known.has(one.key))) {
      logger.warn({ key }, "removing an object that no row knows");
      await blobs.delete(key);
      gone.objects++;
    }
  }
  if (blobs.signed) {
    for await (const batch of old(blobs.signed.listUploads("o/"), (one) => one.begunAt)) {
      const live = await liveUploads(db.sql, batch);
      for (const { key, uploadId } of batch.filter((one) => !live.has(one.uploadId))) {
        await blobs.signed.abortParts(key, uploadId);
        gone.uploads++;
      }
    }
  }
  if (blobs.growing) {
    for await (const batch of old(blobs.growing.list("o/"), (one) => one.modifiedAt)) {
      const known = await liveKeys(db.sql, batch);
      for (const { key } of batch.filter((one) => !known.has(one.key))) {
        await blobs.growing.drop(key);
        gone.uploads++;
      }
    }
    await blobs.growing.dropUnwritten(before);
  }
  return gone;
}

async function* batchesOf<T>(all: AsyncIterable<T>, wanted: (one: T) => boolean, stopping: AbortSignal) {
  let batch: T[] = [];
  for await (const one of all) {
    if (stopping.aborted) return;
    if (!wanted(one)) continue;
    batch.push(one);
    if (batch.length < AT_ONCE) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

async function knownKeys(sql: Sql, batch: { key: string }[]): Promise<Set<string>> {
  const artifacts = batch.flatMap(({ key }) => ARTIFACT.exec(key)?.[1] ?? []);
  const leases = batch.flatMap(({ key }) => LOG.exec(key)?.[1] ?? []);
  const kept = await sql<{ key: string }[]>`
    SELECT object_key AS key FROM artifacts WHERE id = ANY (${artifacts}::text[])`;
  const attempts = await sql<{ place: string }[]>`
    SELECT 'o/' || org_id || '/b/' || build_id || '/l/' || lease_id || '/' AS place
    FROM attempts WHERE lease_id = ANY (${leases}::uuid[])`;
  const keys = new Set(kept.map((row) => row.key));
  const places = new Set(attempts.map((row) => row.place));
  const isKnown = (key: string) =>
    ARTIFACT.test(key) ? keys.has(key) : LOG.test(key) ? places.has(key.slice(0, key.lastIndexOf("/") + 1)) : true;
  return new Set(batch.map(({ key }) => key).filter(isKnown));
}

/** Uploads of attempts that still run. */
async function liveUploads(sql: Sql, batch: { uploadId: string }[]): Promise<Set<string>> {
  const ids = batch.map(({ uploadId }) => uploadId);
  const rows = await sql<{ id: string }[]>`
    SELECT f.upload_id AS id FROM attempts a JOIN artifacts f ON f.attempt_id = a.id
    WHERE a.finished_at IS NULL AND f.upload_id = ANY (${ids}::text[])`;
  return new Set(rows.map((row) => row.id));
}

async function liveKeys(sql: Sql, batch: { key: string }[]): Promise<Set<string>> {
  const ids = batch.flatMap(({ key }) => ARTIFACT.exec(key)?.[1] ?? []);
  const rows = await sql<{ key: string }[]>`
    SELECT f.object_key AS key FROM artifacts f JOIN attempts a ON a.id = f.attempt_id
    WHERE f.id = ANY (${ids}::text[]) AND a.finished_at IS NULL AND f.stored_at IS NULL`;
  return new Set(rows.map((row) => row.key));
}
