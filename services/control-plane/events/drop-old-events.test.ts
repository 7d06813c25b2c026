import { expect, test } from "vitest";
import { freshDatabase } from "../../testing/fresh-database.ts";
import { dropOldEvents } from "./drop-old-events.ts";
import { readBounds } from "./read-events.ts";

test("whole days are dropped, later ones stay, and the last event of a dropped one is noted", async () => {
  await using fresh = await freshDatabase();
  const { db } = fresh;
  for (const day of ["2026-01-01", "2026-01-02", "2026-01-03"]) {
    await db.sql`SELECT make_day_partitions(${day}::date)`;
    await db.sql`INSERT INTO events (day, org_id, kind, payload) VALUES (${day}, 'org_default', 'worker', '{}')`;
  }
  const rows = await db.sql<{ xid: string; seq: number }[]>`SELECT xid::text, seq FROM events ORDER BY xid, seq`;
  const now = new Date("2026-01-04T12:00:00Z");
  expect(await dropOldEvents(db, now, 2)).toEqual(["events_20260101"]);
  expect((await readBounds(db.sql)).dropped).toMatchObject({ xid: BigInt(rows[0]?.xid ?? 0), seq: rows[0]?.seq });
  expect(await dropOldEvents(db, now, 2)).toEqual([]);
  expect(await dropOldEvents(db, now, 1)).toEqual(["events_20260102"]);
  const left = await db.sql`SELECT day::text FROM events`;
  expect(left).toEqual([{ day: "2026-01-03" }]);
  expect((await readBounds(db.sql)).dropped.seq).toBe(rows[1]?.seq);
});
