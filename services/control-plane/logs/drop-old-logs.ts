import type { Logger } from "../../process/logger.ts";
import type { Db } from "../store/open-database.ts";

const KEPT_DAYS = 2;

/**
 * Drops the days of hot logs that are older than two days and whose attempts are all archived. A day with one log that
 * is not stays whole. Answers the names of the partitions that went.
 */
export async function dropOldLogPartitions({ db, logger }: { db: Db; logger: Logger }, now: Date): Promise<string[]> {
  const before = new Date(now.getTime() - KEPT_DAYS * 24 * 60 * 60 * 1000).toISOString().slice(0, 10);
  const partitions = await db.sql<{ name: string; day: string }[]>`
    SELECT c.relname AS name, to_date(right(c.relname, 8), 'YYYYMMDD')::text AS day
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'log_chunks'::regclass AND c.relname ~ '^log_chunks_[0-9]{8}$' ORDER BY 1`;
  const dropped: string[] = [];
  for (const { name, day } of partitions.filter((partition) => partition.day < before)) {
    if (!(await dropIfArchived(db, name, day))) continue;
    logger.info({ partition: name }, "dropped a day of logs that are all archived");
    dropped.push(name);
  }
  return dropped;
}

/** In one transaction: nothing can begin to need a day that has passed, so what is archived then stays so. */
async function dropIfArchived(db: Db, name: string, day: string): Promise<boolean> {
  return db.transaction(async (tx) => {
    const [needed] = await tx`SELECT FROM attempts WHERE log_day = ${day}::date AND archived_at IS NULL LIMIT 1`;
    if (needed) return false;
    await tx`DROP TABLE IF EXISTS ${tx(name)}`;
    return true;
  });
}
