import { unknownName } from "../names/refuse-name.ts";
import type { WorkerRef } from "../names/resolve.ts";
import type { Sql } from "../store/open-database.ts";
import { liveSessions } from "./live-sessions.ts";

/**
 * Ends a drain that somebody asked for; one that the worker's own process began stays. Answers its live sessions and
 * pool, which have to hear of it. NOT_FOUND.
 */
export async function resumeWorker(tx: Sql, worker: WorkerRef): Promise<{ sessions: string[]; pool: string }> {
  const [row] = await tx<{ pool: string }[]>`
    UPDATE workers SET draining = false, drain_reason = '',
      state = CASE WHEN draining AND state = 'draining' THEN 'online' ELSE state END
    WHERE id = ${worker.id} AND deleted_at IS NULL RETURNING pool`;
  if (!row) throw unknownName("worker", worker.name);
  return { sessions: await liveSessions(tx, worker.id), pool: row.pool };
}
