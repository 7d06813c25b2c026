import { notFound } from "../../process/refusal.ts";
import type { Sql } from "../store/open-database.ts";
import type { TokenRow } from "./token-row.ts";

/** Ends a token, once; repeating it keeps the first time. Refused with not_found outside the organization. */
export async function revokeToken(sql: Sql, orgId: string, id: string): Promise<TokenRow> {
  const [row] = await sql<TokenRow[]>`
    UPDATE tokens SET revoked_at = coalesce(revoked_at, clock_timestamp())
    WHERE id = ${id} AND org_id = ${orgId}
    RETURNING id, name, scope, created_at, last_used_at, expires_at, revoked_at`;
  if (!row) throw notFound("token", id);
  return row;
}
