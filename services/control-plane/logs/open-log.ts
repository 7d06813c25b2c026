import type { BlobStore } from "../store/blobs.ts";
import type { Db } from "../store/open-database.ts";
import { archivedLog } from "./archived-log.ts";
import type { LogFacts } from "./find-log.ts";
import { hotLog } from "./hot-log.ts";
import type { LogSource } from "./log-source.ts";

/** A way to read a log from wherever it is kept now. Errors: DATA_LOSS (ARCHIVE_DAMAGED) when an archive is not there. */
export async function openLog(
  { db, blobs }: { db: Pick<Db, "sql">; blobs: BlobStore },
  facts: LogFacts,
): Promise<LogSource> {
  return facts.archived ? archivedLog(blobs, facts) : hotLog(db.sql, facts);
}
