import type { Core } from "../core.ts";
import { inGrace } from "../queue/in-grace.ts";
import { type HeldLease, readLeases } from "../queue/read-leases.ts";
import type { Sql } from "../store/open-database.ts";

export type Renewal = { kind: "renewed"; leases: HeldLease[]; draining: boolean; drainReason: string } | { kind: Lost };

/** A newer stream speaks for the session; another process took the worker's place; or its time ran out. */
export type Lost = "superseded" | "replaced" | "gone";

export interface Renewals {
  /** Renews a session by the database's clock; `stream` 0 speaks for no stream. All that come within a moment share one statement. */
  renew(sessionId: string, stream: number, draining: boolean): Promise<Renewal>;
}

interface Waiting {
  sessionId: string;
  stream: number;
  draining: boolean;
  resolve(renewal: Renewal): void;
  reject(reason: unknown): void;
}

// One statement per replica and moment, however many workers there are.
const GATHER_MS = 100;

export function openRenewals(core: Pick<Core, "db" | "config">): Renewals {
  let waiting: Waiting[] = [];
  const flush = () => {
    const batch = waiting;
    waiting = [];
    renewAll(core, batch).catch((reason: unknown) => {
      for (const one of batch) one.reject(reason);
    });
  };
  return {
    renew(sessionId, stream, draining) {
      return new Promise((resolve, reject) => {
        waiting.push({ sessionId, stream, draining, resolve, reject });
        if (waiting.length === 1) setTimeout(flush, GATHER_MS);
      });
    },
  };
}

async function renewAll({ db, config }: Pick<Core, "db" | "config">, batch: Waiting[]): Promise<void> {
  const rows = await db.sql<{ id: string; stream: number; draining: boolean; drainReason: string }[]>`
    WITH asked AS (
      SELECT * FROM jsonb_to_recordset(${db.sql.json(batch.map((w) => ({ id: w.sessionId, stream: w.stream, draining: w.draining })))})
        AS r(id text, stream bigint, draining boolean)),
    renewed AS (
      UPDATE sessions s SET expires_at = clock_timestamp() + ${config.leaseSeconds} * interval '1 second'
      FROM asked a
      WHERE s.id = a.id AND (a.stream = 0 OR s.stream = a.stream) AND s.expires_at > '-infinity'
        AND (s.expires_at > clock_timestamp() OR ${inGrace(db.sql, config.leaseSeconds)})
      RETURNING s.id, s.stream, s.worker_id, a.draining),
    seen AS (
      UPDATE workers w SET last_seen_at = clock_timestamp(),
        state = CASE WHEN w.draining OR r.draining THEN 'draining' ELSE 'online' END
      FROM renewed r WHERE w.id = r.worker_id)
    SELECT r.id, r.stream, w.draining, w.drain_reason AS "drainReason" FROM renewed r JOIN workers w ON w.id = r.worker_id`;
  const byId = new Map(rows.map((row) => [row.id, row]));
  const leases = Map.groupBy(rows.length > 0 ? await readLeases(db.sql, [...byId.keys()]) : [], (l) => l.sessionId);
  const others: Waiting[] = [];
  for (const one of batch) {
    const row = byId.get(one.sessionId);
    // Two streams of a session may ask in one batch, and only the newest is heard.
    if (row && (one.stream === 0 || one.stream === row.stream)) {
      const { draining, drainReason } = row;
      one.resolve({ kind: "renewed", leases: leases.get(one.sessionId) ?? [], draining, drainReason });
    } else others.push(one);
  }
  if (others.length > 0) await tellWhy(db.sql, others);
}

/** Read anew: what the statement itself began with may be older than what it was refused by. */
async function tellWhy(sql: Sql, lost: Waiting[]): Promise<void> {
  const rows = await sql<{ id: string; stream: number; over: boolean }[]>`
    SELECT id, stream, expires_at = '-infinity' AS over FROM sessions WHERE id = ANY(${lost.map((one) => one.sessionId)})`;
  const byId = new Map(rows.map((row) => [row.id, row]));
  for (const one of lost) one.resolve({ kind: whyLost(byId.get(one.sessionId), one.stream) });
}

/** Why a stream does not speak for its session any more; stream 0 is none. A session that is replaced ends, and its stream grows. */
export function whyLost(session: { stream: number; over: boolean } | undefined, stream: number): Lost {
  if (!session || stream === 0 || session.stream <= stream) return "gone";
  return session.over ? "replaced" : "superseded";
}
