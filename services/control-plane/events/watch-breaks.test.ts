import { setTimeout as delay } from "node:timers/promises";
import { expect, test } from "vitest";
import { openLogger } from "../../process/logger.ts";
import { freshDatabase } from "../../testing/fresh-database.ts";
import { cursorOf, eventsOf, everything, watchNow, watchUntil, word } from "../../testing/watch-until.ts";
import { type Hints, openHints } from "../store/hints.ts";
import { type Db, openDatabase } from "../store/open-database.ts";
import { openTails } from "./open-tails.ts";
import type { WatchDeps } from "./watch-events.ts";

const logger = openLogger("test", "silent");
const WRITERS = 9;
const WATCHERS = 6;
const END = "worker the end";

interface Replica extends WatchDeps {
  db: Db;
  hints: Hints;
}

function openReplica(url: string): Replica {
  const db = openDatabase({ url });
  const hints = openHints(url, logger);
  return { db, hints, tails: openTails({ db, hints, logger }), stopping: new AbortController().signal };
}

/** Transactions of one to three events that take a while; some are rolled back, and some send no hint. */
async function write({ db, hints }: Replica, writer: number): Promise<void> {
  for (let n = 0; n < 25; n++) {
    const count = 1 + Math.floor(Math.random() * 3);
    const run = db.transaction(async (tx) => {
      for (let i = 0; i < count; i++) {
        await tx`INSERT INTO events (org_id, kind, payload) VALUES ('org_default', 'worker',
          jsonb_build_object('worker_id', 'w', 'name', ${`${writer}-${n}-${i}`}::text, 'state', 'online'))`;
        if (Math.random() < 0.5) await delay(Math.random() * 12);
      }
      if (Math.random() < 0.15) throw new Error("rolled back");
    });
    await run.catch(() => {});
    if (Math.random() < 0.7) hints.send("events", "org_default");
  }
}

/** Watches at one replica after the other, a few messages at a time, until the end was seen. */
async function watchWithBreaks(replicas: Replica[], start: string): Promise<string[]> {
  const seen: string[] = [];
  for (let cursor = start, breaks = 0; seen.at(-1) !== END; breaks++) {
    const budget = Math.ceil(Math.random() * 6);
    const replica = replicas[breaks % replicas.length] as Replica;
    const enough = (all: Parameters<typeof eventsOf>[0]) =>
      all.length >= budget || eventsOf(all).some((event) => word(event) === END);
    const messages = await watchUntil(replica, everything(cursor), enough, 50);
    // Now and then a client loses the end of what it was sent, and comes back with the cursor of an event.
    const got = eventsOf(messages);
    const kept = Math.random() < 0.3 && got.length > 1 ? got.slice(0, -1) : got;
    cursor = kept.length < got.length ? (kept.at(-1)?.cursor ?? cursor) : cursorOf(messages);
    seen.push(...kept.map(word));
  }
  return seen;
}

test("every event exactly once and in order, through breaks and out-of-order commits", async () => {
  await using fresh = await freshDatabase();
  const replicas = [openReplica(fresh.url), openReplica(fresh.url), openReplica(fresh.url)];
  const start = cursorOf(await watchNow(replicas[0] as Replica, everything()));
  const watching = Array.from({ length: WATCHERS }, () => watchWithBreaks(replicas, start));
  await Promise.all(Array.from({ length: WRITERS }, (_, n) => write(replicas[n % replicas.length] as Replica, n)));
  await fresh.db.sql`INSERT INTO events (org_id, kind, payload)
    VALUES ('org_default', 'worker', '{"worker_id": "w", "name": "the end", "state": "online"}')`;
  const rows = await fresh.db.sql<{ name: string }[]>`SELECT payload ->> 'name' AS name FROM events ORDER BY xid, seq`;
  const expected = rows.map((row) => `worker ${row.name}`);
  expect(expected.length).toBeGreaterThan(200);
  for (const seen of await Promise.all(watching)) expect(seen).toEqual(expected);
  await Promise.all(replicas.flatMap(({ db, hints }) => [db.close(), hints.close()]));
});
