import { notFound } from "../../process/refusal.ts";
import type { Sql } from "../store/open-database.ts";
import { LOG_COLUMNS } from "./insert-chunks.ts";
import type { LogKind } from "./verify-chunk.ts";

/** What the database knows of one log of an attempt. */
export interface LogFacts {
  attemptId: string;
  orgId: string;
  buildId: string;
  leaseId: string;
  day: string;
  kind: LogKind;
  bytes: number;
  lineEnds: number;
  /** No byte will be added. */
  over: boolean;
  archived: boolean;
  incomplete: boolean;
  droppedBytes: number;
  /** What the worker said of the step's log at the end. */
  sha256: Buffer | null;
}

/** Reads it by the attempt's id. Errors: NOT_FOUND (ATTEMPT_NOT_FOUND). */
export async function findLog(sql: Sql, attemptId: string, kind: LogKind): Promise<LogFacts> {
  const { end, lines } = LOG_COLUMNS[kind];
  const [row] = await sql<LogFacts[]>`
    SELECT id AS "attemptId", org_id AS "orgId", build_id AS "buildId", lease_id AS "leaseId", log_day::text AS day,
      ${kind}::integer AS kind, ${sql(end)} AS bytes, ${sql(lines)} AS "lineEnds", finished_at IS NOT NULL AS over,
      archived_at IS NOT NULL AS archived, ${kind} = 1 AND log_incomplete AS incomplete,
      CASE WHEN ${kind} = 1 THEN log_dropped ELSE 0 END AS "droppedBytes",
      CASE WHEN ${kind} = 1 THEN log_sha256 END AS sha256
    FROM attempts WHERE id = ${attemptId}`;
  if (!row) throw notFound("attempt", attemptId);
  return row;
}
