import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type Event, EventSchema } from "@ritmo/contract/ritmo/event/v1/event_pb.js";
import type { Sql } from "../store/open-database.ts";

/** How long the queue of a pool is. */
export interface QueueLength {
  pool: string;
  depth: number;
  oldest: Date | null;
}

/** The queues of an organization that are not empty, by pool. */
export async function readQueues(sql: Sql, orgId: string): Promise<Map<string, QueueLength>> {
  const rows = await sql<QueueLength[]>`
    SELECT s.pool, count(*)::int AS depth, min(q.queued_at) AS oldest
    FROM shapes s JOIN queue q ON q.shape_id = s.id WHERE s.org_id = ${orgId} GROUP BY s.pool ORDER BY s.pool`;
  return new Map(rows.map((row) => [row.pool, row]));
}

/** What changed between two readings; a pool that is gone from the second is empty. */
export function changedQueues(
  before: ReadonlyMap<string, QueueLength>,
  after: ReadonlyMap<string, QueueLength>,
): QueueLength[] {
  const changed = [...after.values()].filter((now) => {
    const then = before.get(now.pool);
    return then?.depth !== now.depth || then.oldest?.getTime() !== now.oldest?.getTime();
  });
  const emptied = [...before.keys()].filter((pool) => !after.has(pool));
  return [...changed, ...emptied.map((pool) => ({ pool, depth: 0, oldest: null }))];
}

export function queueEvent({ pool, depth, oldest }: QueueLength, at: Date): Event {
  const value = { pool, depth, ...(oldest ? { oldestQueuedAt: timestampFromDate(oldest) } : {}) };
  return create(EventSchema, { at: timestampFromDate(at), subject: { case: "queue", value } });
}
