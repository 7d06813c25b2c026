import type { Logger } from "../../process/logger.ts";
import type { BlobStore } from "../store/blobs.ts";
import type { Db } from "../store/open-database.ts";
import { findLog, type LogFacts } from "./find-log.ts";
import { hotLog } from "./hot-log.ts";
import { writeArchive } from "./write-archive.ts";

export interface ArchiveDeps {
  db: Pick<Db, "sql">;
  blobs: BlobStore;
  logger: Logger;
}

// Long enough for 1 GiB on a slow disk, short enough that a killed replica's work is soon taken up again.
const CLAIM_SECONDS = 120;
const REST_SECONDS = 15;
const MAX_EMPTY = 1_000;

/**
 * Archives the logs of attempts that have been over for a while, the oldest first: both logs of up to `limit` attempts.
 * Answers how many were archived. Any number of replicas may do so, and one may be killed anywhere: the objects' keys and bytes follow
 * from the log alone, and only what was read back whole is marked.
 */
export async function archiveNext(deps: ArchiveDeps, limit: number, restedSeconds = 0): Promise<number> {
  const { db, logger } = deps;
  const empty = await passEmpty(deps, restedSeconds);
  const claimed = await db.sql<{ id: string; tries: number }[]>`
    UPDATE attempts SET archive_tries = archive_tries + 1,
      archive_after = clock_timestamp() + ${CLAIM_SECONDS}::integer * interval '1 second'
    WHERE id IN (
      SELECT id FROM attempts
      WHERE finished_at <= clock_timestamp() - ${restedSeconds} * interval '1 second' AND archived_at IS NULL
        AND (archive_after IS NULL OR archive_after < clock_timestamp())
      ORDER BY finished_at LIMIT ${limit} FOR UPDATE SKIP LOCKED)
      AND finished_at IS NOT NULL AND archived_at IS NULL
    RETURNING id, archive_tries AS tries`;
  let archived = 0;
  for (const { id, tries } of claimed) {
    try {
      if (await archiveAttempt(deps, id)) archived++;
    } catch (reason) {
      logger.warn({ err: reason, attempt: id, tries }, "a log could not be archived; it stays in the database");
      await rest(deps, id, tries);
    }
  }
  return archived + empty;
}

/** Attempts that wrote nothing at all have nothing to archive: many at once, without a trip to the store for each. */
async function passEmpty({ db }: ArchiveDeps, restedSeconds: number): Promise<number> {
  const rows = await db.sql`
    UPDATE attempts SET archived_at = clock_timestamp(), archive_after = NULL
    WHERE id IN (
      SELECT id FROM attempts a
      WHERE finished_at <= clock_timestamp() - ${restedSeconds} * interval '1 second' AND archived_at IS NULL
        AND archive_after IS NULL AND log_end = 0 AND prepare_end = 0 AND coalesce(log_final, 0) = 0
        AND NOT log_incomplete AND coalesce(log_sha256 = sha256(''), true)
        AND NOT EXISTS (SELECT FROM log_chunks c WHERE c.day = a.log_day AND c.attempt_id = a.id)
      ORDER BY finished_at LIMIT ${MAX_EMPTY} FOR UPDATE SKIP LOCKED)
    RETURNING id`;
  return rows.length;
}

/** Archives both logs of an attempt that is over. Answers false when another replica was first. */
export async function archiveAttempt({ db, blobs, logger }: ArchiveDeps, attemptId: string): Promise<boolean> {
  const step = await findLog(db.sql, attemptId, 1);
  const prepare = await findLog(db.sql, attemptId, 2);
  if (step.archived || !step.over) return false;
  const sha256 = await writeArchive(blobs, step, hotLog(db.sql, step));
  await writeArchive(blobs, prepare, hotLog(db.sql, prepare));
  const damaged = differs(step, sha256);
  if (damaged) logger.error({ attempt: attemptId, sha256 }, "a log is not what its worker says it wrote");
  const [row] = await db.sql<{ id: string }[]>`
    UPDATE attempts SET archived_at = clock_timestamp(), archive_after = NULL,
      log_incomplete = log_incomplete OR ${damaged}
    WHERE id = ${attemptId} AND finished_at IS NOT NULL AND archived_at IS NULL
      AND log_end = ${step.bytes} AND prepare_end = ${prepare.bytes}
    RETURNING id`;
  return row !== undefined;
}

function differs(log: LogFacts, sha256: string): boolean {
  return !log.incomplete && log.sha256 !== null && log.sha256.toString("hex") !== sha256;
}

async function rest({ db }: ArchiveDeps, attemptId: string, tries: number): Promise<void> {
  const seconds = Math.min(REST_SECONDS * 2 ** Math.min(tries, 10), 3600);
  await db.sql`
    UPDATE attempts SET archive_after = clock_timestamp() + ${seconds}::integer * interval '1 second'
    WHERE id = ${attemptId} AND archived_at IS NULL`;
}
