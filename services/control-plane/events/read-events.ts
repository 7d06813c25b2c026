import { Refusal } from "../../process/refusal.ts";
import type { Sql } from "../store/open-database.ts";
import { isBefore, lifeOf, type Position } from "./position.ts";

export type RowKind = "build" | "step" | "worker" | "job";

/** A row of `events`; what its payload holds is written by the triggers of 0001_spine.sql. */
export interface EventRow {
  position: Position;
  at: Date;
  kind: RowKind;
  buildId: string | null;
  payload: Record<string, unknown>;
}

export interface EventFilter {
  buildId?: string | undefined;
  /** Undefined: all. */
  kinds?: RowKind[] | undefined;
}

export interface EventPage {
  rows: EventRow[];
  /** Everything up to here that passes the filter is in this page or the ones before. */
  position: Position;
  more: boolean;
  /** There are committed events that are not final yet, because an older transaction is still open. */
  pending: boolean;
}

interface Raw {
  life: string;
  xmin: string;
  pending: boolean;
  xid: string | null;
  seq: number;
  at: Date;
  kind: RowKind;
  build_id: string | null;
  payload: Record<string, unknown>;
}

/**
 * The next events of an organization, in the order of (xid, seq). It stops below the oldest transaction that is still
 * open, since that one may yet commit an event with a smaller place; what is below is final.
 * Refuses with HISTORY_REPLACED when the database was restored since that place.
 */
export async function readEvents(
  sql: Sql,
  orgId: string,
  range: { after: Position; upTo?: Position | undefined; limit: number },
  { buildId, kinds }: EventFilter = {},
): Promise<EventPage> {
  const { after, upTo, limit } = range;
  const rows = await sql<Raw[]>`
    SELECT (SELECT id FROM incarnation) AS life, bound.xmin::text AS xmin, e.*, EXISTS (
      SELECT FROM events WHERE xid >= bound.xmin AND org_id = ${orgId}) AS pending
    FROM (SELECT pg_snapshot_xmin(pg_current_snapshot()) AS xmin) bound
    LEFT JOIN (
      SELECT xid, seq, at, kind, build_id, payload FROM events
      WHERE (xid, seq) > (${after.xid.toString()}::xid8, ${after.seq}::bigint)
        AND xid < pg_snapshot_xmin(pg_current_snapshot()) AND org_id = ${orgId}
        ${upTo ? sql`AND (xid, seq) <= (${upTo.xid.toString()}::xid8, ${upTo.seq}::bigint)` : sql``}
        ${buildId === undefined ? sql`` : sql`AND build_id = ${buildId}`}
        ${kinds === undefined ? sql`` : sql`AND kind = ANY (${kinds}::text[])`}
      ORDER BY xid, seq LIMIT ${limit}) e ON true
    ORDER BY e.xid, e.seq`;
  const life = lifeOf(rows[0]?.life ?? "0");
  if (life !== after.life) throw historyReplaced();
  const found = rows.filter((row): row is Raw & { xid: string } => row.xid !== null).map((row) => rowOf(life, row));
  const more = found.length === limit;
  const bound = { life, xid: BigInt(rows[0]?.xmin ?? 0), seq: 0 };
  const end = upTo && isBefore(upTo, bound) ? upTo : bound;
  const last = found.at(-1)?.position;
  const position = more && last ? last : isBefore(after, end) ? end : after;
  return { rows: found, position, more, pending: rows[0]?.pending ?? false };
}

function historyReplaced(): Refusal {
  return new Refusal(
    "unavailable",
    "HISTORY_REPLACED",
    "the database was restored, and events are told anew; reconnect with the last cursor",
    { retryAfterMs: 500 },
  );
}

function rowOf(life: bigint, { xid, seq, at, kind, build_id: buildId, payload }: Raw & { xid: string }): EventRow {
  return { position: { life, xid: BigInt(xid), seq }, at, kind, buildId, payload };
}

export interface Bounds {
  /** Everything that a reader can see now is at or after this, or final. */
  now: Position;
  /** No transaction of this database has had a larger id. */
  newest: bigint;
  /** The last event that is not kept any more. */
  dropped: Position;
}

/** Where history begins and ends at this moment. */
export async function readBounds(sql: Sql): Promise<Bounds> {
  const [row] = await sql<{ id: string; xmin: string; xmax: string; xid: string; seq: number }[]>`
    SELECT i.id, pg_snapshot_xmin(s.now)::text AS xmin, pg_snapshot_xmax(s.now)::text AS xmax, d.xid::text AS xid, d.seq
    FROM (SELECT pg_current_snapshot() AS now) s, events_dropped d, incarnation i`;
  if (!row) throw new Error("events_dropped or incarnation has no row");
  const life = lifeOf(row.id);
  return {
    now: { life, xid: BigInt(row.xmin), seq: 0 },
    newest: BigInt(row.xmax),
    dropped: { life, xid: BigInt(row.xid), seq: row.seq },
  };
}
