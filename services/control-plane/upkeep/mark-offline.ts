import type { Core } from "../core.ts";

/** Workers whose sessions are all over are offline. */
export async function markOffline({ db, hints }: Pick<Core, "db" | "hints">): Promise<void> {
  const rows = await db.sql<{ orgId: string }[]>`
    UPDATE workers w SET state = 'offline'
    FROM pulse p
    WHERE w.state IN ('online', 'draining')
      AND NOT EXISTS (SELECT FROM sessions s WHERE s.worker_id = w.id AND s.expires_at > '-infinity'
        AND (s.expires_at > clock_timestamp() OR p.grace_until > clock_timestamp()))
    RETURNING w.org_id AS "orgId"`;
  for (const { orgId } of rows) hints.send("events", orgId);
}
