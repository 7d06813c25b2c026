import { badField } from "../../process/refusal.ts";
import { unknownName } from "../names/refuse-name.ts";
import type { WorkerRef } from "../names/resolve.ts";
import type { Sql } from "../store/open-database.ts";
import { liveSessions } from "./live-sessions.ts";

const MAX_REASON = 500;

/**
 * Lets a worker finish what it has and gives it nothing new; again changes the reason. Answers its live sessions,
 * whose streams have to hear of it. NOT_FOUND; INVALID_ARGUMENT for a reason that can't be shown.
 */
export async function drainWorker(tx: Sql, worker: WorkerRef, reason: string): Promise<string[]> {
  if (reason.length > MAX_REASON || /[\p{Cc}\p{Cs}]/u.test(reason))
    throw badField("reason", `is longer than ${MAX_REASON} characters or holds control characters`);
  const [row] = await tx`
    UPDATE workers SET draining = true, drain_reason = ${reason},
      state = CASE state WHEN 'online' THEN 'draining' ELSE state END
    WHERE id = ${worker.id} AND deleted_at IS NULL RETURNING id`;
  if (!row) throw unknownName("worker", worker.name);
  return await liveSessions(tx, worker.id);
}
