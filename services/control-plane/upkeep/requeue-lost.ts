import type { Core } from "../core.ts";

/** A queued step without its row in the queue would wait for ever; it gets the row back. */
export async function requeueLost({ db, hints, logger }: Pick<Core, "db" | "hints" | "logger">): Promise<void> {
  const rows = await db.sql<{ id: string; pool: string }[]>`
    WITH lost AS (
      INSERT INTO queue (step_id, shape_id)
      SELECT s.id, s.shape_id FROM steps s
      WHERE s.state = 'queued' AND s.queued_at < clock_timestamp() - interval '10 seconds'
        AND NOT EXISTS (SELECT FROM queue q WHERE q.step_id = s.id)
      ON CONFLICT (step_id) DO NOTHING RETURNING step_id AS id, shape_id)
    SELECT lost.id, h.pool FROM lost JOIN shapes h ON h.id = lost.shape_id`;
  for (const { id, pool } of rows) {
    logger.error({ step: id }, "a queued step had lost its place in the queue; it has one again");
    hints.send("queue", pool);
  }
}
