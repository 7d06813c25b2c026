import { unknownName } from "../names/refuse-name.ts";
import type { WorkerRef } from "../names/resolve.ts";
import type { Sql } from "../store/open-database.ts";

/**
 * Revokes a worker's token and ends its sessions at once: what it ran is queued again by the next sweep. Answers the
 * sessions that ended. NOT_FOUND.
 */
export async function deleteWorker(tx: Sql, worker: WorkerRef): Promise<string[]> {
  const [row] = await tx`
    UPDATE workers SET deleted_at = clock_timestamp(), token_hash = NULL, state = 'offline'
    WHERE id = ${worker.id} AND deleted_at IS NULL RETURNING id`;
  if (!row) throw unknownName("worker", worker.name);
  const ended = await tx<{ id: string }[]>`
    UPDATE sessions SET expires_at = '-infinity' WHERE worker_id = ${worker.id} AND expires_at > '-infinity'
    RETURNING id`;
  return ended.map((session) => session.id);
}
