import type { Sql } from "../store/open-database.ts";
import type { LogChunk, LogKind } from "./verify-chunk.ts";

/** Who writes: the lease, and the worker that must hold it. */
export interface LogWriter {
  leaseId: string;
  workerId: string;
}

/** The names of the columns that tell where a log ends. */
export const LOG_COLUMNS = {
  1: { end: "log_end", lines: "log_lines" },
  2: { end: "prepare_end", lines: "prepare_lines" },
} as const satisfies Record<LogKind, { end: string; lines: string }>;

/**
 * The one statement that takes log bytes: it moves the end of the attempt's log from exactly where the first chunk
 * starts, if the lease still is this worker's and the attempt is not over, and stores the chunks behind it, which
 * must lie end to end. That is the fence as well. Answers the attempt, or undefined when nothing was moved or stored.
 */
export async function insertChunks(sql: Sql, writer: LogWriter, chunks: LogChunk[]): Promise<string | undefined> {
  const [first] = chunks;
  if (!first) return undefined;
  const end = sql(LOG_COLUMNS[first.kind].end);
  const lines = sql(LOG_COLUMNS[first.kind].lines);
  const addedBytes = chunks.reduce((sum, chunk) => sum + chunk.rawLength, 0);
  const addedLines = chunks.reduce((sum, chunk) => sum + chunk.lines, 0);
  const [row] = await sql<{ id: string }[]>`
    WITH held AS (
      UPDATE attempts SET ${end} = ${end} + ${addedBytes}::bigint, ${lines} = ${lines} + ${addedLines}::bigint
      WHERE lease_id = ${writer.leaseId} AND worker_id = ${writer.workerId} AND finished_at IS NULL
        AND ${end} = ${first.start}::bigint
      RETURNING id, log_day, ${lines} - ${addedLines}::bigint AS lines_before
    ), stored AS (
      INSERT INTO log_chunks
        (day, attempt_id, kind, start_offset, raw_length, codec, crc32c, lines, lines_before, marks, data)
      SELECT held.log_day, held.id, ${first.kind}::smallint, c.start_offset, c.raw_length, c.codec, c.crc32c, c.lines,
        held.lines_before + c.lines_before, c.marks, c.data
      FROM held CROSS JOIN (VALUES ${rowsOf(sql, chunks)})
        c(start_offset, raw_length, codec, crc32c, lines, lines_before, marks, data)
      -- Only marks without bytes can meet what is there already: a repeated one, or more of them.
      ON CONFLICT (day, attempt_id, kind, start_offset, raw_length)
        DO UPDATE SET marks = log_chunks.marks || excluded.marks
        WHERE position(excluded.marks IN log_chunks.marks) = 0 AND octet_length(log_chunks.marks) < 262144
    )
    SELECT id FROM held`;
  return row?.id;
}

function rowsOf(sql: Sql, chunks: LogChunk[]) {
  let linesBefore = 0;
  return chunks
    .map((chunk) => {
      const row = sql`(${chunk.start}::bigint, ${chunk.rawLength}::integer, ${chunk.codec}::smallint,
        ${chunk.crc32c}::bigint, ${chunk.lines}::integer, ${linesBefore}::bigint,
        ${chunk.marks}::bytea, ${chunk.data}::bytea)`;
      linesBefore += chunk.lines;
      return row;
    })
    .reduce((all, row) => sql`${all}, ${row}`);
}
