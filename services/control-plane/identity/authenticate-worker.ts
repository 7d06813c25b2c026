import type { Db } from "../store/open-database.ts";
import type { WorkerCaller } from "./caller.ts";
import { rememberLookups } from "./remember-lookups.ts";
import { hashToken, looksLikeToken } from "./token-values.ts";

const REMEMBER_MS = 3_000;

/** Which worker a token is; undefined when it is unknown or its worker was deleted. */
export function workerLookup({ db }: { db: Db }, rememberMs = REMEMBER_MS) {
  return rememberLookups<WorkerCaller>((value) => findWorker(db, value), { forMs: rememberMs });
}

async function findWorker(db: Db, value: string): Promise<WorkerCaller | undefined> {
  if (!looksLikeToken(value, "worker")) return undefined;
  const [row] = await db.sql<{ id: string; org_id: string; name: string; pool: string }[]>`
    SELECT id, org_id, name, pool FROM workers WHERE token_hash = ${hashToken(value)} AND deleted_at IS NULL`;
  return row && { orgId: row.org_id, workerId: row.id, name: row.name, pool: row.pool };
}
