import { and, desc, eq, lt } from "drizzle-orm";
import type { Db } from "../store/open-database.ts";
import { tokens } from "../store/schema.ts";
import type { TokenRow } from "./token-row.ts";

type Orm = Pick<Db, "orm">;

// Everything but the hash, which leaves the database for nobody.
const COLUMNS = {
  id: tokens.id,
  name: tokens.name,
  scope: tokens.scope,
  created_at: tokens.created_at,
  last_used_at: tokens.last_used_at,
  expires_at: tokens.expires_at,
  revoked_at: tokens.revoked_at,
};

/** Up to `limit` tokens of the organization, the newest first, from below the id on. */
export async function listTokens({ orm }: Orm, orgId: string, limit: number, belowId?: string): Promise<TokenRow[]> {
  const below = belowId === undefined ? undefined : lt(tokens.id, belowId);
  const own = and(eq(tokens.org_id, orgId), below);
  return await orm.select(COLUMNS).from(tokens).where(own).orderBy(desc(tokens.id)).limit(limit);
}

/** One token, for whoever presents it. */
export async function readToken({ orm }: Orm, id: string): Promise<TokenRow | undefined> {
  const [row] = await orm.select(COLUMNS).from(tokens).where(eq(tokens.id, id));
  return row;
}
