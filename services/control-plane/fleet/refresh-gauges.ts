import type { Metrics } from "../metrics.ts";
import type { Sql } from "../store/open-database.ts";

type FleetGauges = Pick<Metrics, "queueDepth" | "queueOldest" | "workers" | "workerSlots">;

/**
 * Reads queue and fleet from the database into their gauges; called when somebody scrapes. While the database is away
 * they have no value, and what the process counts itself is served all the same.
 */
export async function refreshGauges({ sql }: { sql: Sql }, gauges: FleetGauges): Promise<void> {
  const read = Promise.all([readQueue(sql), readWorkers(sql), readSlots(sql)]);
  const [queue, workers, slots] = await read.catch(() => [[], [], []] as const);
  for (const gauge of [gauges.queueDepth, gauges.queueOldest, gauges.workers, gauges.workerSlots]) gauge.reset();
  for (const { pool, depth, oldest } of queue) {
    gauges.queueDepth.set({ pool }, depth);
    gauges.queueOldest.set({ pool }, oldest);
  }
  for (const { pool, state, count } of workers) gauges.workers.set({ pool, state }, count);
  for (const { pool, slots: all, busy } of slots) {
    gauges.workerSlots.set({ pool, state: "busy" }, Math.min(busy, all));
    gauges.workerSlots.set({ pool, state: "free" }, Math.max(0, all - busy));
  }
}

function readQueue(sql: Sql) {
  return sql<{ pool: string; depth: number; oldest: number }[]>`
    SELECT s.pool, count(*)::int AS depth,
      greatest(0, extract(epoch FROM clock_timestamp() - min(q.queued_at)))::float8 AS oldest
    FROM queue q JOIN shapes s ON s.id = q.shape_id GROUP BY s.pool`;
}

function readWorkers(sql: Sql) {
  return sql<{ pool: string; state: string; count: number }[]>`
    SELECT pool, state, count(*)::int AS count FROM workers WHERE deleted_at IS NULL GROUP BY pool, state`;
}

function readSlots(sql: Sql) {
  return sql<{ pool: string; slots: number; busy: number }[]>`
    SELECT w.pool, sum(w.slots)::int AS slots, coalesce(sum(a.busy), 0)::int AS busy
    FROM workers w
    LEFT JOIN (SELECT worker_id, count(*) AS busy FROM attempts WHERE finished_at IS NULL GROUP BY worker_id) a
      ON a.worker_id = w.id
    WHERE w.deleted_at IS NULL AND w.state IN ('online', 'draining') GROUP BY w.pool`;
}
