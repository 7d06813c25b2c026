import { newId } from "../../process/new-id.ts";
import { Refusal } from "../../process/refusal.ts";
import type { Db } from "../store/open-database.ts";
import { hashSetupCode } from "./setup-code-values.ts";
import type { TokenRow } from "./token-row.ts";
import { hashToken, newTokenValue } from "./token-values.ts";

const NAME = "setup";

/**
 * Turns a one-time code into an admin token, whose value is answered this once. Every other open code of the
 * organization ends with it, so that of two at once one wins. Refuses a code that is wrong, used or over.
 */
export async function exchangeSetupCode({ db }: { db: Db }, code: string): Promise<{ row: TokenRow; value: string }> {
  const value = newTokenValue("user");
  const hash = hashSetupCode(code);
  const [row] = await db.sql<TokenRow[]>`
    WITH ended AS (
      UPDATE setup_codes SET used_at = clock_timestamp()
      WHERE used_at IS NULL AND org_id IN (
        SELECT org_id FROM setup_codes
        WHERE hash = ${hash} AND used_at IS NULL AND expires_at > clock_timestamp())
      RETURNING hash, org_id)
    INSERT INTO tokens (id, org_id, name, scope, hash)
    SELECT ${newId("tok")}, org_id, ${NAME}, 'admin', ${hashToken(value)} FROM ended WHERE hash = ${hash}
    RETURNING id, name, scope, created_at, last_used_at, expires_at, revoked_at`;
  if (row) return { row, value };
  const message =
    "the code is wrong, was used, or is over 15 minutes old; `ritmo server new-setup-code` prints another";
  throw new Refusal("unauthenticated", "SETUP_CODE_INVALID", message);
}
