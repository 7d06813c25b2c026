import type { Sql } from "../store/open-database.ts";
import type { TokenRow } from "./token-row.ts";

/** Up to `limit` tokens of the organization, the newest first, from below the id on. */
export async function listTokens(sql: Sql, orgId: string, limit: number, belowId?: string): Promise<TokenRow[]> {
  return sql<TokenRow[]>`
    SELECT id, name, scope, created_at, last_used_at, expires_at, revoked_at FROM tokens
    WHERE org_id = ${orgId} AND (${belowId ?? null}::text IS NULL OR id < ${belowId ?? null})
    ORDER BY id DESC LIMIT ${limit}`;
}

/** One token, for whoever presents it. */
export async function readToken(sql: Sql, id: string): Promise<TokenRow | undefined> {
  const [row] = await sql<TokenRow[]>`
    SELECT id, name, scope, created_at, last_used_at, expires_at, revoked_at FROM tokens WHERE id = ${id}`;
  return row;
}
