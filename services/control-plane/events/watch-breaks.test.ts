import { setTimeout as delay } from "node:timers/promises";
import type { Event } from "@ritmo/contract/ritmo/event/v1/event_pb.js";
import { expect, test } from "vitest";
import { openLogger } from "../../process/logger.ts";
import { freshDatabase } from "../../testing/fresh-database.ts";
import { plantWorker } from "../../testing/plant-rows.ts";
import { cursorOf, eventsOf, everything, watchNow, watchUntil } from "../../testing/watch-until.ts";
import { type Hints, openHints } from "../store/hints.ts";
import { type Db, openDatabase } from "../store/open-database.ts";
import { openTails } from "./open-tails.ts";
import type { WatchDeps } from "./watch-events.ts";

const logger = openLogger("test", "silent");
const WRITERS = 9;
const WATCHERS = 6;
const END = "w the end ";

interface Replica extends WatchDeps {
  db: Db;
  hints: Hints;
}

function openReplica(url: string): Replica {
  const db = openDatabase({ url });
  const hints = openHints(url, logger);
  return { db, hints, tails: openTails({ db, hints, logger }), stopping: new AbortController().signal };
}

/**
 * Transactions that have their id early, then wait for rows that all of them change; they take a while, some are
 * rolled back, and some send no hint.
 */
async function write({ db, hints }: Replica, writer: number, shared: string[]): Promise<void> {
  for (let n = 0; n < 25; n++) {
    const first = Math.floor(Math.random() * shared.length);
    const run = db.transaction(async (tx) => {
      await tx`INSERT INTO events (org_id, kind, payload) VALUES ('org_default', 'worker',
        jsonb_build_object('worker_id', ${`w${writer}`}::text, 'name', ${`${writer}-${n}`}::text, 'state', 'online'))`;
      for (const id of shared.slice(first)) {
        if (Math.random() < 0.5) await delay(Math.random() * 12);
        await tx`UPDATE workers SET drain_reason = ${`${writer}-${n}`} WHERE id = ${id}`;
      }
      if (Math.random() < 0.15) throw new Error("rolled back");
    });
    await run.catch(() => {});
    if (Math.random() < 0.7) hints.send("events", "org_default");
  }
}

/** `wrk_1 3-7`: which row it is about, and what happened to it. */
function fact({ subject }: Event): string {
  return subject.case === "worker" ? `${subject.value.workerId} ${subject.value.name} ${subject.value.reason}` : "";
}

/** Watches at one replica after the other, a few messages at a time, until the end was seen. */
async function watchWithBreaks(replicas: Replica[], start: string): Promise<string[]> {
  const seen: string[] = [];
  for (let cursor = start, breaks = 0; seen.at(-1) !== END; breaks++) {
    const budget = Math.ceil(Math.random() * 6);
    const replica = replicas[breaks % replicas.length] as Replica;
    const enough = (all: Parameters<typeof eventsOf>[0]) =>
      all.length >= budget || eventsOf(all).some((event) => fact(event) === END);
    const messages = await watchUntil(replica, everything(cursor), enough, 50);
    // Now and then a client loses the end of what it was sent, and comes back with the cursor of before.
    const kept = Math.random() < 0.3 ? messages.slice(0, -1) : messages;
    cursor = cursorOf(kept) || cursor;
    seen.push(...eventsOf(kept).map(fact));
  }
  return seen;
}

test("every event exactly once, and each row's in order, through breaks and out-of-order commits", async () => {
  await using fresh = await freshDatabase();
  const replicas = [openReplica(fresh.url), openReplica(fresh.url), openReplica(fresh.url)];
  const shared: string[] = [];
  for (const name of ["a", "b", "c"]) shared.push((await plantWorker(fresh.db.sql, name)).id);
  const start = cursorOf(await watchNow(replicas[0] as Replica, everything()));
  const watching = Array.from({ length: WATCHERS }, () => watchWithBreaks(replicas, start));
  await Promise.all(
    Array.from({ length: WRITERS }, (_, n) => write(replicas[n % replicas.length] as Replica, n, shared)),
  );
  await fresh.db.sql`INSERT INTO events (org_id, kind, payload)
    VALUES ('org_default', 'worker', '{"worker_id": "w", "name": "the end", "state": "online"}')`;
  const rows = await fresh.db.sql<{ fact: string }[]>`
    SELECT concat(payload ->> 'worker_id', ' ', payload ->> 'name', ' ', payload ->> 'reason') AS fact
    FROM events WHERE payload ->> 'name' = 'the end' OR payload ->> 'reason' <> '' OR payload ->> 'name' ~ '-' ORDER BY seq`;
  const expected = rows.map((row) => row.fact);
  expect(expected.length).toBeGreaterThan(200);
  const ofRow = (facts: string[], id: string) => facts.filter((one) => one.startsWith(`${id} `));
  for (const seen of await Promise.all(watching)) {
    expect(seen.toSorted()).toEqual(expected.toSorted());
    for (const id of new Set(expected.map((one) => one.split(" ")[0] ?? "")))
      expect(ofRow(seen, id)).toEqual(ofRow(expected, id));
  }
  await Promise.all(replicas.flatMap(({ db, hints }) => [db.close(), hints.close()]));
});
