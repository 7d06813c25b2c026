import type { Core } from "../core.ts";

/** Ends the session of a worker that drained and left, once it holds nothing; the worker is offline at once. */
export async function endIdleSession(
  core: Pick<Core, "db" | "hints" | "logger">,
  sessionId: string,
  stream: number,
): Promise<void> {
  try {
    const [row] = await core.db.sql<{ orgId: string }[]>`
      WITH ended AS (
        UPDATE sessions SET expires_at = '-infinity'
        WHERE id = ${sessionId} AND stream = ${stream}
          AND NOT EXISTS (SELECT FROM steps WHERE session_id = ${sessionId})
        RETURNING worker_id)
      UPDATE workers SET state = 'offline' FROM ended WHERE id = ended.worker_id RETURNING org_id AS "orgId"`;
    if (row) core.hints.send("events", row.orgId);
  } catch (reason) {
    // It runs out by itself.
    core.logger.debug({ err: reason }, "an idle session could not be ended at once");
  }
}
