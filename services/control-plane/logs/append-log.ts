import { leaseLost, Refusal } from "../../process/refusal.ts";
import type { Hints } from "../store/hints.ts";
import type { Db, Sql } from "../store/open-database.ts";
import { compareChunk } from "./compare-chunk.ts";
import { insertChunks, LOG_COLUMNS, type LogWriter } from "./insert-chunks.ts";
import type { LogChunk } from "./verify-chunk.ts";

export interface AppendDeps {
  db: Pick<Db, "sql">;
  hints: Pick<Hints, "send">;
  metrics: { logBytes: { inc(by: number): void } };
}

// Another writer of the same lease can win a race, but not for ever.
const MAX_RACES = 20;

/**
 * Makes chunks of one log durable, in their order, and answers the offset below which everything is. What is there
 * already is compared and acknowledged again. Errors: FAILED_PRECONDITION (LEASE_LOST), OUT_OF_RANGE (LOG_GAP, with
 * `expected_offset`), DATA_LOSS (LOG_CONFLICT).
 */
export async function appendLog(
  { db, hints, metrics }: AppendDeps,
  writer: LogWriter,
  chunks: LogChunk[],
): Promise<number> {
  let rest = chunks;
  let durable = 0;
  for (let races = 0; rest.length > 0; ) {
    const batch = endToEnd(rest);
    const attemptId = await insertChunks(db.sql, writer, batch);
    if (attemptId !== undefined) {
      hints.send("log", attemptId);
      metrics.logBytes.inc(batch.reduce((sum, chunk) => sum + chunk.rawLength, 0));
      durable = endOf(batch.at(-1) as LogChunk);
      rest = rest.slice(batch.length);
      continue;
    }
    const head = rest[0] as LogChunk;
    const place = await findEnd(db.sql, writer, head);
    if (head.start > place.end) throw gap(writer, head, place.end);
    if (head.start === place.end) {
      if (++races > MAX_RACES)
        throw new Refusal("aborted", "LOG_CONTENDED", "another stream writes this log; try again");
      continue;
    }
    durable = place.end;
    const left = await compareChunk(db.sql, place, head);
    rest = left ? [left, ...rest.slice(1)] : rest.slice(1);
  }
  return durable;
}

const endOf = (chunk: LogChunk) => chunk.start + chunk.rawLength;

function endToEnd(chunks: LogChunk[]): LogChunk[] {
  const stop = chunks.findIndex((chunk, i) => {
    const before = chunks[i - 1];
    // Two rows of marks at one place would be one row twice in a statement.
    return before && (chunk.start !== endOf(before) || chunk.rawLength + before.rawLength === 0);
  });
  return stop < 0 ? chunks : chunks.slice(0, stop);
}

/** Where the stored log of an attempt is, and where it ends. */
export interface LogPlace {
  attemptId: string;
  day: string;
  end: number;
}

async function findEnd(sql: Sql, writer: LogWriter, chunk: LogChunk): Promise<LogPlace> {
  const [row] = await sql<LogPlace[]>`
    SELECT id AS "attemptId", log_day::text AS day, ${sql(LOG_COLUMNS[chunk.kind].end)} AS end FROM attempts
    WHERE lease_id = ${writer.leaseId} AND worker_id = ${writer.workerId} AND finished_at IS NULL`;
  if (!row) throw leaseLost(writer.leaseId);
  return row;
}

function gap(writer: LogWriter, chunk: LogChunk, end: number): Refusal {
  return new Refusal("out_of_range", "LOG_GAP", `the log ends at ${end}, this chunk starts at ${chunk.start}`, {
    metadata: { lease_id: writer.leaseId, kind: String(chunk.kind), expected_offset: String(end) },
  });
}
