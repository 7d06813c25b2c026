import { Refusal } from "../../process/refusal.ts";
import type { Sql } from "../store/open-database.ts";
import { cutPage, type Placed } from "./cut-page.ts";
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
  /** In the order in which they happened. */
  rows: EventRow[];
  /** Everything up to here that passes the filter is in this page or the ones before. */
  position: Position;
  more: boolean;
  /** There are committed events that can't be told yet, because an older transaction is still open. */
  pending: boolean;
}

interface Raw {
  life: string;
  xmin: string;
  final: boolean;
  overdue: boolean;
  xid: string;
  seq: number;
  at: Date;
  kind: RowKind;
  build_id: string | null;
  subject: string;
  payload: Record<string, unknown>;
}

// How far past its end a page is looked at, for what came before something in it.
const AHEAD = 500;
const MOST = 4_000;
// Longer than any transaction of ours may be open.
const LONGEST = "15 seconds";

/**
 * The next events of an organization. They are read by (xid, seq), below the oldest transaction that is still open,
 * since that one may yet commit an event with a smaller place; what is below is final. A page is in the order of seq,
 * and ends where that order is the order of every row (see cutPage): some events wait for others that are not final.
 * Refuses with HISTORY_REPLACED when the database was restored since that place.
 */
export async function readEvents(
  sql: Sql,
  orgId: string,
  range: { after: Position; upTo?: Position | undefined; limit: number },
  filter: EventFilter = {},
): Promise<EventPage> {
  const { after, upTo, limit } = range;
  const { life, xmin, rows } = await readPlaces(sql, orgId, { after, upTo, limit }, filter);
  if (life !== after.life) throw historyReplaced();
  const final = rows.filter((row) => row.final).length;
  let count = cutPage(rows, Math.min(final, limit));
  if (count === 0 && final > 0) {
    const further = final > limit || rows.length === limit + AHEAD;
    if (further && limit < MOST) return await readEvents(sql, orgId, { ...range, limit: 2 * limit }, filter);
    // What writers of one row hold up without end is told as it is.
    if (further || rows[0]?.overdue) count = Math.min(final, limit);
  }
  const bound = { life, xid: BigInt(xmin), seq: 0 };
  const end = upTo && isBefore(upTo, bound) ? upTo : bound;
  const told = rows.slice(0, count).map((row) => rowOf(life, row));
  const last = told.at(-1)?.position ?? after;
  const position = count < final ? last : isBefore(after, end) ? end : after;
  told.sort((a, b) => a.position.seq - b.position.seq);
  return { rows: told, position, more: count > 0 && count < final, pending: count < rows.length };
}

async function readPlaces(
  sql: Sql,
  orgId: string,
  { after, upTo, limit }: { after: Position; upTo?: Position | undefined; limit: number },
  { buildId, kinds }: EventFilter,
): Promise<{ life: bigint; xmin: string; rows: Raw[] }> {
  const rows = await sql<(Raw | (Omit<Raw, "xid"> & { xid: null }))[]>`
    SELECT (SELECT id FROM incarnation) AS life, bound.xmin::text AS xmin, e.*
    FROM (SELECT pg_snapshot_xmin(pg_current_snapshot()) AS xmin) bound
    LEFT JOIN (
      SELECT xid, seq, at, kind, build_id, payload ->> (kind || '_id') AS subject,
        xid < pg_snapshot_xmin(pg_current_snapshot()) AS final,
        at < clock_timestamp() - ${LONGEST}::interval AS overdue,
        CASE WHEN row_number() OVER (ORDER BY xid, seq) <= ${limit} THEN payload END AS payload
      FROM events
      WHERE (xid, seq) > (${after.xid.toString()}::xid8, ${after.seq}::bigint) AND org_id = ${orgId}
        ${upTo ? sql`AND (xid, seq) <= (${upTo.xid.toString()}::xid8, ${upTo.seq}::bigint)` : sql``}
        ${buildId === undefined ? sql`` : sql`AND build_id = ${buildId}`}
        ${kinds === undefined ? sql`` : sql`AND kind = ANY (${kinds}::text[])`}
      ORDER BY xid, seq LIMIT ${limit + AHEAD}) e ON true
    ORDER BY e.xid, e.seq`;
  const found = rows.filter((row): row is Raw => row.xid !== null);
  return { life: lifeOf(rows[0]?.life ?? "0"), xmin: rows[0]?.xmin ?? "0", rows: found };
}

function historyReplaced(): Refusal {
  return new Refusal(
    "unavailable",
    "HISTORY_REPLACED",
    "the database was restored, and events are told anew; reconnect with the last cursor",
    { retryAfterMs: 500 },
  );
}

function rowOf(life: bigint, { xid, seq, at, kind, build_id: buildId, payload }: Raw): EventRow {
  return { position: { life, xid: BigInt(xid), seq }, at, kind, buildId, payload };
}

export interface Bounds {
  life: bigint;
  /** No transaction of this database has had a larger id. */
  newest: bigint;
  /** The last event that is not kept any more. */
  dropped: Position;
}

/** Where history begins and ends at this moment. */
export async function readBounds(sql: Sql): Promise<Bounds> {
  const [row] = await sql<{ id: string; xmax: string; xid: string; seq: number }[]>`
    SELECT i.id, pg_snapshot_xmax(pg_current_snapshot())::text AS xmax, d.xid::text AS xid, d.seq
    FROM events_dropped d, incarnation i`;
  if (!row) throw new Error("events_dropped or incarnation has no row");
  const life = lifeOf(row.id);
  return { life, newest: BigInt(row.xmax), dropped: { life, xid: BigInt(row.xid), seq: row.seq } };
}

/**
 * Where a watcher begins that wants what happens from now on: everything that a reader can see now of an organization
 * is after this, or final and, row by row, before all that is after.
 */
export async function readEnd(sql: Sql, orgId: string): Promise<Position> {
  const now = sql`pg_snapshot_xmin(pg_current_snapshot())`;
  const rows = await sql<(Placed & { id: string; xmin: string; final: boolean })[]>`
    WITH pending AS MATERIALIZED (
      SELECT xid, seq, payload ->> (kind || '_id') AS subject FROM events
      WHERE org_id = ${orgId} AND xid >= ${now} ORDER BY xid, seq LIMIT ${MOST})
    SELECT i.id, ${now}::text AS xmin, e.xid < ${now} AS final, e.xid, e.seq, e.subject
    FROM incarnation i LEFT JOIN (
      SELECT xid, seq, payload ->> (kind || '_id') AS subject
      FROM (SELECT * FROM events WHERE xid < ${now} ORDER BY xid DESC, seq DESC LIMIT ${MOST}) newest
      WHERE org_id = ${orgId} AND at > clock_timestamp() - ${LONGEST}::interval AND EXISTS (SELECT FROM pending)
      UNION ALL
      SELECT * FROM pending) e ON true
    ORDER BY e.xid, e.seq`;
  const [first] = rows;
  if (!first) throw new Error("incarnation has no row");
  const next = rows[cutPage(rows, rows.filter((row) => row.final).length)];
  return { life: lifeOf(first.id), xid: BigInt(next?.final ? next.xid : first.xmin), seq: 0 };
}
