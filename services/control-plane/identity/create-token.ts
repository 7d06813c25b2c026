import { newId } from "../../process/new-id.ts";
import { badField } from "../../process/refusal.ts";
import type { Sql } from "../store/open-database.ts";
import type { Scope } from "./caller.ts";
import type { TokenRow } from "./token-row.ts";
import { hashToken, newTokenValue } from "./token-values.ts";

export interface NewToken {
  name: string;
  scope: Scope;
  /** Undefined: it does not end by itself. */
  expiresAt?: Date | undefined;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/;

/**
 * Makes a user's token and answers its row and, this once, its value. Refuses a name that is empty, over 100
 * characters or not plain, and an end that is past by the database's clock.
 */
export async function createToken(sql: Sql, orgId: string, token: NewToken): Promise<{ row: TokenRow; value: string }> {
  const name = token.name.trim();
  if (name === "" || name.length > 100) throw badField("name", "1 to 100 characters");
  if (CONTROL.test(name)) throw badField("name", "no control characters");
  const value = newTokenValue("user");
  const expiresAt = token.expiresAt ?? null;
  const [row] = await sql<TokenRow[]>`
    INSERT INTO tokens (id, org_id, name, scope, hash, expires_at)
    SELECT ${newId("tok")}, ${orgId}, ${name}, ${token.scope}, ${hashToken(value)}, ${expiresAt}::timestamptz
    WHERE ${expiresAt}::timestamptz IS NULL OR ${expiresAt}::timestamptz > clock_timestamp()
    RETURNING id, name, scope, created_at, last_used_at, expires_at, revoked_at`;
  if (!row) throw badField("expires_at", "the end is in the past");
  return { row, value };
}
