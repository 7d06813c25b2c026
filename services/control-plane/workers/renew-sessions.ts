import type { Core } from "../core.ts";
import { inGrace } from "../queue/in-grace.ts";
import { type HeldLease, readLeases } from "../queue/read-leases.ts";

export type Renewal =
  | { kind: "renewed"; leases: HeldLease[]; draining: boolean; drainReason: string }
  /** A newer stream speaks for the session. */
  | { kind: "superseded" }
  | { kind: "gone" };

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
  const rows = await db.sql<{ id: string; stream: number; draining: boolean; drainReason: string; renewed: boolean }[]>`
    WITH asked AS (
      SELECT * FROM jsonb_to_recordset(${db.sql.json(batch.map((w) => ({ id: w.sessionId, stream: w.stream, draining: w.draining })))})
        AS r(id text, stream bigint, draining boolean)),
    renewed AS (
      UPDATE sessions s SET expires_at = clock_timestamp() + ${config.leaseSeconds} * interval '1 second'
      FROM asked a
      WHERE s.id = a.id AND (a.stream = 0 OR s.stream = a.stream) AND s.expires_at > '-infinity'
        AND (s.expires_at > clock_timestamp() OR ${inGrace(db.sql, config.leaseSeconds)})
      RETURNING s.id, s.worker_id, a.draining),
    seen AS (
      UPDATE workers w SET last_seen_at = clock_timestamp(),
        state = CASE WHEN w.draining OR r.draining THEN 'draining' ELSE 'online' END
      FROM renewed r WHERE w.id = r.worker_id)
    SELECT s.id, s.stream, w.draining, w.drain_reason AS "drainReason", r.id IS NOT NULL AS renewed
    FROM sessions s JOIN asked a ON a.id = s.id JOIN workers w ON w.id = s.worker_id LEFT JOIN renewed r ON r.id = s.id`;
  const byId = new Map(rows.map((row) => [row.id, row]));
  const renewed = rows.filter((row) => row.renewed).map((row) => row.id);
  const leases = Map.groupBy(renewed.length > 0 ? await readLeases(db.sql, renewed) : [], (l) => l.sessionId);
  for (const one of batch) {
    const row = byId.get(one.sessionId);
    if (row?.renewed) {
      const { draining, drainReason } = row;
      one.resolve({ kind: "renewed", leases: leases.get(one.sessionId) ?? [], draining, drainReason });
    } else {
      one.resolve({ kind: row && one.stream !== 0 && row.stream > one.stream ? "superseded" : "gone" });
    }
  }
}
