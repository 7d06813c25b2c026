import { expect, test } from "vitest";
import { freshDatabase } from "../../testing/fresh-database.ts";
import { openMetrics } from "../metrics.ts";
import { refreshGauges } from "./refresh-gauges.ts";

test("the gauges say what the database says, and nothing of what is no longer there", async () => {
  await using fresh = await freshDatabase();
  const { db } = fresh;
  const metrics = openMetrics({ processMetrics: false });
  const values = async (name: string) => {
    const lines = (await metrics.registry.getSingleMetricAsString(name)).split("\n");
    return lines.filter((line) => !line.startsWith("#") && line !== "");
  };
  await db.sql`
    INSERT INTO workers (id, org_id, name, pool, slots, state) VALUES
      ('wrk_1', 'org_default', 'a', 'linux', 4, 'online'), ('wrk_2', 'org_default', 'b', 'linux', 2, 'offline')`;
  await db.sql`
    WITH shape AS (
      INSERT INTO shapes (org_id, pool, requires, cpu_millis, memory_bytes)
      VALUES ('org_default', 'linux', '{}', 0, 0) RETURNING id)
    INSERT INTO queue (step_id, shape_id, queued_at)
    SELECT 'stp_' || n, shape.id, clock_timestamp() - interval '1 hour' * n FROM shape, generate_series(1, 3) n`;
  await refreshGauges(db, metrics);
  expect(await values("ritmo_queue_depth")).toEqual(['ritmo_queue_depth{pool="linux"} 3']);
  expect(await values("ritmo_queue_oldest_seconds")).toEqual([expect.stringMatching(/\{pool="linux"\} 108\d\d/)]);
  expect((await values("ritmo_workers")).sort()).toEqual([
    'ritmo_workers{pool="linux",state="offline"} 1',
    'ritmo_workers{pool="linux",state="online"} 1',
  ]);
  expect((await values("ritmo_worker_slots")).sort()).toEqual([
    'ritmo_worker_slots{pool="linux",state="busy"} 0',
    'ritmo_worker_slots{pool="linux",state="free"} 4',
  ]);

  await db.sql`DELETE FROM queue`;
  await refreshGauges(db, metrics);
  expect(await values("ritmo_queue_depth")).toEqual([]);
  expect(await values("ritmo_workers")).toHaveLength(2);

  const away = { sql: () => Promise.reject(new Error("away")) };
  await refreshGauges(away as never, metrics);
  expect(await values("ritmo_workers")).toEqual([]);
});
