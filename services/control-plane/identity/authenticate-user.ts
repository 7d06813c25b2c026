import type { Logger } from "../../process/logger.ts";
import type { Db } from "../store/open-database.ts";
import type { Caller, Scope } from "./caller.ts";
import { rememberLookups } from "./remember-lookups.ts";
import { hashToken, looksLikeToken } from "./token-values.ts";

const REMEMBER_MS = 3_000;

/**
 * Who a user's token is; undefined when it is unknown, revoked or over. Also keeps `last_used_at`, at most once a
 * minute, and without anybody waiting for it.
 */
export function userLookup({ db, logger }: { db: Db; logger: Logger }, rememberMs = REMEMBER_MS) {
  return rememberLookups<Caller>((value) => findUser(db, logger, value), { forMs: rememberMs });
}

async function findUser(db: Db, logger: Logger, value: string): Promise<Caller | undefined> {
  if (!looksLikeToken(value, "user")) return undefined;
  const hash = hashToken(value);
  const [row] = await db.sql<{ id: string; org_id: string; name: string; scope: Scope; stale: boolean }[]>`
    SELECT id, org_id, name, scope,
      last_used_at IS NULL OR last_used_at < clock_timestamp() - interval '1 minute' AS stale
    FROM tokens
    WHERE hash = ${hash} AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > clock_timestamp())`;
  if (!row) return undefined;
  if (row.stale) {
    markUsed(db, row.id).catch((reason: unknown) => logger.debug({ err: reason }, "can't note a token's use"));
  }
  return { orgId: row.org_id, tokenId: row.id, name: row.name, scope: row.scope };
}

async function markUsed(db: Db, id: string): Promise<void> {
  await db.sql`
    UPDATE tokens SET last_used_at = clock_timestamp()
    WHERE id = ${id} AND (last_used_at IS NULL OR last_used_at < clock_timestamp() - interval '1 minute')`;
}
