import type { PendingQuery, Row } from "postgres";
import type { Sql } from "../store/open-database.ts";
import type { LogPiece, LogSource, MarkedPiece } from "./log-source.ts";
import type { LogKind } from "./verify-chunk.ts";

/** Names a log in the table of chunks, as far as it had come. */
export interface HotLog {
  attemptId: string;
  day: string;
  kind: LogKind;
  bytes: number;
  lineEnds: number;
}

type Fragment = PendingQuery<Row[]>;

// So much is read with one statement: many short chunks, or a few long ones.
const PAGE_CHUNKS = 512;
const PAGE_BYTES = 1024 * 1024;
const PAGE_MARKED = 2_000;

/** A log that is still in the database. */
export function hotLog(sql: Sql, log: HotLog): LogSource {
  const mine = sql`day = ${log.day}::date AND attempt_id = ${log.attemptId} AND kind = ${log.kind}`;
  return {
    bytes: log.bytes,
    lineEnds: log.lineEnds,
    async *pieces(from) {
      let where: Fragment = sql`start_offset >= coalesce(
        (SELECT max(start_offset) FROM log_chunks WHERE ${mine} AND start_offset <= ${from}), 0)`;
      for (;;) {
        const page = await readPage(sql, sql`${mine} AND ${where}`, log.bytes);
        yield* page;
        const last = page.at(-1);
        if (!last) return;
        where = sql`(start_offset, raw_length) > (${last.start}, ${last.rawLength})`;
      }
    },
    async pieceOfLineEnd(n) {
      const fromEnd = n > log.lineEnds / 2;
      const [row] = fromEnd
        ? await sql<{ start: number }[]>`SELECT start_offset AS start FROM log_chunks
            WHERE ${mine} AND lines_before < ${n} AND raw_length > 0 ORDER BY start_offset DESC LIMIT 1`
        : await sql<{ start: number }[]>`SELECT start_offset AS start FROM log_chunks
            WHERE ${mine} AND lines_before + lines >= ${n} AND raw_length > 0 ORDER BY start_offset LIMIT 1`;
      return row?.start ?? 0;
    },
    marked: () => readMarked(sql, mine, log.bytes),
  };
}

async function readPage(sql: Sql, where: Fragment, end: number): Promise<LogPiece[]> {
  return sql<LogPiece[]>`
    SELECT start, "rawLength", lines, "linesBefore", codec, marks, data FROM (
      SELECT start_offset AS start, raw_length AS "rawLength", lines, lines_before AS "linesBefore", codec, marks, data,
        sum(raw_length) OVER (ORDER BY start_offset, raw_length) - raw_length AS bytes_before
      FROM (
        SELECT * FROM log_chunks WHERE ${where} AND start_offset <= ${end}
        ORDER BY start_offset, raw_length LIMIT ${PAGE_CHUNKS}
      ) page
    ) counted WHERE bytes_before < ${PAGE_BYTES} AND start + "rawLength" <= ${end}
    ORDER BY start, "rawLength"`;
}

async function* readMarked(sql: Sql, mine: Fragment, end: number): AsyncGenerator<MarkedPiece> {
  for (let after = { start: -1, rawLength: 0 }; ; ) {
    const page = await sql<MarkedPiece[]>`
      SELECT start_offset AS start, raw_length AS "rawLength", lines, lines_before AS "linesBefore", marks
      FROM log_chunks
      WHERE ${mine} AND (start_offset, raw_length) > (${after.start}, ${after.rawLength})
        AND start_offset <= ${end} AND octet_length(marks) > 0
      ORDER BY start_offset, raw_length LIMIT ${PAGE_MARKED}`;
    yield* page;
    const last = page.at(-1);
    if (!last || page.length < PAGE_MARKED) return;
    after = last;
  }
}
