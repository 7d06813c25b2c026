import type { Core } from "../core.ts";

/** Remembered answers are kept for three days, sessions that are over for one. */
export async function forgetOld({ db }: Pick<Core, "db">): Promise<void> {
  await db.sql`DELETE FROM requests WHERE created_at < clock_timestamp() - interval '72 hours'`;
  await db.sql`
    DELETE FROM sessions WHERE expires_at < clock_timestamp() - interval '1 day'
      AND NOT EXISTS (SELECT FROM steps WHERE steps.session_id = sessions.id)`;
  await db.sql`DELETE FROM setup_codes WHERE expires_at < clock_timestamp() - interval '1 day'`;
}
