import type { Db } from "../store/open-database.ts";
import { hashSetupCode, newSetupCode } from "./setup-code-values.ts";

const ORG_ID = "org_default";

/**
 * Makes a one-time code for the first admin token, good for 15 minutes, and answers it; undefined when the database
 * has tokens already, unless it is asked for all the same. Whoever prints it prints it once, and never logs it.
 */
export async function makeSetupCode(
  { db }: { db: Db },
  { alsoWithTokens = false }: { alsoWithTokens?: boolean } = {},
): Promise<string | undefined> {
  const code = newSetupCode();
  const [made] = await db.sql`
    INSERT INTO setup_codes (hash, org_id, expires_at)
    SELECT ${hashSetupCode(code)}, ${ORG_ID}, clock_timestamp() + interval '15 minutes'
    WHERE ${alsoWithTokens} OR NOT EXISTS (SELECT FROM tokens)
    RETURNING true`;
  return made && code;
}
