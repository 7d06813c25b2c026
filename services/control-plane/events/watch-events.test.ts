import { setTimeout as delay } from "node:timers/promises";
import { BuildState, StepState } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import type { Event, WatchResponse } from "@ritmo/contract/ritmo/event/v1/event_pb.js";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openLogger } from "../../process/logger.ts";
import { type FreshDatabase, freshDatabase } from "../../testing/fresh-database.ts";
import { plantBuild, plantJob, plantOrganization, plantStep, plantWorker } from "../../testing/plant-rows.ts";
import { type Hints, openHints } from "../store/hints.ts";
import { openDatabase } from "../store/open-database.ts";
import { openTails, type Tails } from "./open-tails.ts";
import { writeCursor } from "./position.ts";
import { type WatchDeps, type Watched, watchEvents } from "./watch-events.ts";

let fresh: FreshDatabase;
let hints: Hints;
let tails: Tails;
let stopping: AbortController;
const logger = openLogger("test", "silent");

beforeEach(async () => {
  fresh = await freshDatabase();
  hints = openHints(fresh.url, logger);
  tails = openTails({ db: fresh.db, hints, logger });
  stopping = new AbortController();
});
afterEach(async () => {
  stopping.abort();
  await hints.close();
  await fresh[Symbol.asyncDispose]();
});

const everything = (cursor = ""): Watched => ({ orgId: "org_default", cursor, filter: {}, queues: false });

/** Watches until `enough` says so; then the stream is broken as a client breaks it. */
async function watchUntil(
  watched: Watched,
  enough: (messages: WatchResponse[]) => boolean,
  deps: WatchDeps = { db: fresh.db, tails, stopping: stopping.signal },
  beatMs = 10_000,
): Promise<WatchResponse[]> {
  const leave = new AbortController();
  const messages: WatchResponse[] = [];
  for await (const message of watchEvents(deps, watched, leave.signal, beatMs)) {
    messages.push(message);
    if (enough(messages)) break;
  }
  return messages;
}

/** Watches to where it is live, once everything committed so far is final: other databases' transactions hold it up too. */
async function watchNow(watched: Watched): Promise<WatchResponse[]> {
  const [row] = await fresh.db.sql<{ xid: string }[]>`SELECT pg_current_xact_id()::text AS xid`;
  const isFinal = async () => {
    const [now] = await fresh.db.sql`SELECT pg_snapshot_xmin(pg_current_snapshot()) > ${row?.xid ?? ""}::xid8 AS final`;
    return now?.["final"];
  };
  await expect.poll(isFinal, { timeout: 20_000 }).toBe(true);
  return await watchUntil(watched, isLive);
}

const eventsOf = (messages: WatchResponse[]) => messages.flatMap((message) => message.events);
const cursorOf = (messages: WatchResponse[]) => messages.at(-1)?.cursor ?? "";
const word = ({ subject }: Event) =>
  subject.case === "build" || subject.case === "step" || subject.case === "worker"
    ? `${subject.case} ${subject.value.name}`
    : `${subject.case}`;
const isLive = (messages: WatchResponse[]) => {
  const last = messages.at(-1);
  return last?.cursor !== "" && last?.snapshot === false;
};

test("without a cursor: what is live now, then what happens", async () => {
  const { sql } = fresh.db;
  const job = await plantJob(sql, "hello");
  await plantBuild(sql, job, { state: "success" });
  const build = await plantBuild(sql, job);
  await plantStep(sql, build, { key: "compile", state: "success" });
  await plantStep(sql, build, { key: "test", state: "queued" });
  await plantWorker(sql, "local");
  const first = await watchNow(everything());
  const snapshot = first.filter((message) => message.snapshot);
  expect(snapshot.map((message) => message.snapshotEnd)).toEqual([false, false, false, true]);
  expect(snapshot.slice(0, -1).map((message) => message.cursor)).toEqual(["", "", ""]);
  expect(eventsOf(snapshot).map(word)).toEqual([
    "build hello#2",
    "step hello#2/compile",
    "step hello#2/test",
    "worker local",
  ]);
  expect(eventsOf(snapshot)[0]?.subject.value).toMatchObject({ buildId: build, state: BuildState.RUNNING });
  expect(eventsOf(snapshot)[2]?.subject.value).toMatchObject({ state: StepState.QUEUED });

  await sql`DELETE FROM queue`;
  await sql`UPDATE steps SET state = 'cancellation', finished_at = clock_timestamp() WHERE build_id = ${build} AND key = 'test'`;
  hints.send("events", "org_default");
  const later = await watchUntil(everything(cursorOf(first)), (all) => eventsOf(all).length > 0);
  expect(eventsOf(later)).toHaveLength(1);
  expect(eventsOf(later)[0]?.subject.value).toMatchObject({
    name: "hello#2/test",
    before: StepState.QUEUED,
    state: StepState.CANCELLATION,
  });
});

test("a cursor goes on with history, each event once, whatever cursor of it is taken", async () => {
  const { sql } = fresh.db;
  const start = cursorOf(await watchNow(everything()));
  const job = await plantJob(sql, "hello");
  for (let i = 0; i < 5; i++) await plantBuild(sql, job);
  const all = eventsOf(await watchNow(everything(start)));
  expect(all.map(word)).toEqual([
    "job",
    "build hello#1",
    "build hello#2",
    "build hello#3",
    "build hello#4",
    "build hello#5",
  ]);
  for (const [i, { cursor }] of all.entries()) {
    const rest = eventsOf(await watchNow(everything(cursor)));
    expect(rest.map(word)).toEqual(all.slice(i + 1).map(word));
  }
});

test("a build's watcher sees that build and its steps alone, also when it is over", async () => {
  const { sql } = fresh.db;
  const job = await plantJob(sql, "hello");
  const [over, other] = [await plantBuild(sql, job, { state: "failure" }), await plantBuild(sql, job)];
  await plantStep(sql, over, { key: "compile", state: "failure" });
  await plantStep(sql, other, { key: "compile" });
  await plantWorker(sql, "local");
  const watched = { ...everything(), filter: { buildId: over } };
  const first = await watchNow(watched);
  expect(eventsOf(first).map(word)).toEqual(["build hello#1", "step hello#1/compile"]);
  await sql`UPDATE builds SET state = 'running', finished_at = NULL WHERE id = ${over}`;
  await sql`UPDATE builds SET cancel_requested_at = clock_timestamp() WHERE id = ${other}`;
  const later = await watchNow({ ...watched, cursor: cursorOf(first) });
  expect(eventsOf(later).map(word)).toEqual(["build hello#1"]);
});

test("only the kinds that are asked for are told; a job comes whole", async () => {
  const { sql } = fresh.db;
  const start = cursorOf(await watchNow(everything()));
  const job = await plantJob(sql, "hello");
  await plantBuild(sql, job);
  const kept = await plantJob(sql, "gone");
  await sql`UPDATE jobs SET deleted_at = clock_timestamp(), revision = revision + 1 WHERE id = ${kept}`;
  const watched = { ...everything(start), filter: { kinds: ["job" as const] } };
  const [made, ...deleted] = eventsOf(await watchNow(watched));
  expect(made?.subject).toMatchObject({
    case: "job",
    value: { job: { id: job, name: "hello", repository: "https://git.example.com/hello.git" }, deleted: false },
  });
  expect(deleted.at(-1)?.subject).toMatchObject({
    value: { job: { id: kept, name: "gone", repository: "" }, deleted: true },
  });
});

test("another organization's events are nobody else's", async () => {
  const { sql } = fresh.db;
  const stranger = await plantOrganization(sql, "stranger");
  const start = cursorOf(await watchNow({ ...everything(), orgId: stranger }));
  const job = await plantJob(sql, "hello");
  await plantStep(sql, await plantBuild(sql, job), {});
  const theirs = await watchNow({ ...everything(start), orgId: stranger });
  expect(eventsOf(theirs)).toEqual([]);
  expect(eventsOf(await watchNow(everything(start)))).toHaveLength(3);
});

test("an event behind a transaction that is still open is held back, and comes in its place", async () => {
  const { sql } = fresh.db;
  const job = await plantJob(sql, "hello");
  const start = cursorOf(await watchNow(everything()));
  const open = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  const slow = fresh.db.transaction(async (tx) => {
    await plantWorker(tx, "slow");
    begun.resolve();
    await open.promise;
  });
  await begun.promise;
  await plantBuild(sql, job);
  expect(eventsOf(await watchUntil(everything(start), isLive))).toEqual([]);
  open.resolve();
  await slow;
  const both = await watchUntil(everything(start), (all) => eventsOf(all).length >= 2);
  expect(eventsOf(both).map(word)).toEqual(["worker slow", "build hello#1"]);
});

test("a cursor that is older than what is kept, or from another database, gets a snapshot", async () => {
  const { sql } = fresh.db;
  const start = cursorOf(await watchNow(everything()));
  await plantBuild(sql, await plantJob(sql, "hello"));
  expect((await watchNow(everything(start))).some((message) => message.snapshot)).toBe(false);
  await sql`UPDATE events_dropped SET xid = pg_snapshot_xmin(pg_current_snapshot()), seq = 0`;
  const again = await watchNow(everything(start));
  expect(again[0]?.snapshot).toBe(true);
  expect(eventsOf(again).map(word)).toContain("build hello#1");
  const future = writeCursor({ xid: 2n ** 60n, seq: 1 });
  expect((await watchNow(everything(future)))[0]?.snapshot).toBe(true);
  await expect(watchUntil(everything("nonsense"), isLive)).rejects.toMatchObject({ reason: "CURSOR_INVALID" });
});

test("with nothing to tell, beats move the cursor", async () => {
  const beats = await watchUntil(everything(), (all) => all.length >= 4, undefined, 10);
  expect(beats.slice(-2).map((beat) => [beat.events.length, beat.cursor === ""])).toEqual([
    [0, false],
    [0, false],
  ]);
});

test("who does not read is told so, and others go on", async () => {
  const { sql } = fresh.db;
  const job = await plantJob(sql, "hello");
  const start = cursorOf(await watchNow(everything()));
  const slow = watchEvents({ db: fresh.db, tails, stopping: stopping.signal }, everything(start), stopping.signal);
  expect((await slow.next()).value?.events).toEqual([]);
  await sql`INSERT INTO events (org_id, kind, payload)
    SELECT 'org_default', 'worker', jsonb_build_object('worker_id', 'wrk_' || n, 'name', 'w' || n, 'state', 'online')
    FROM generate_series(1, 6000) n`;
  await plantBuild(sql, job);
  hints.send("events", "org_default");
  const brisk = await watchUntil(everything(start), (all) => eventsOf(all).some((e) => e.subject.case === "build"));
  expect(eventsOf(brisk)).toHaveLength(6_001);
  await expect
    .poll(() =>
      slow.next().then(
        () => "read",
        (reason) => reason.reason,
      ),
    )
    .toBe("SLOW_READER");
});

test("a server that stops ends its watchers with UNAVAILABLE", async () => {
  const watching = watchUntil(everything(), () => false);
  const joined = watchUntil(everything(), isLive);
  await joined;
  stopping.abort();
  await expect(watching).rejects.toMatchObject({ code: "unavailable", reason: "STOPPING" });
});

test("lengths of queues: as they are, then when they change", async () => {
  const { sql } = fresh.db;
  const build = await plantBuild(sql, await plantJob(sql, "hello"));
  await plantStep(sql, build, { key: "a", state: "queued" });
  const queues = (all: WatchResponse[]) =>
    eventsOf(all).flatMap(({ subject }) =>
      subject.case === "queue" ? [[subject.value.pool, subject.value.depth]] : [],
    );
  const watched = { ...everything(), filter: { kinds: [] }, queues: true };
  let grown = false;
  const seen = await watchUntil(watched, (all) => {
    if (queues(all).length === 1 && !grown) {
      grown = true;
      void plantStep(sql, build, { key: "b", state: "queued", pool: "big" }).then(() =>
        hints.send("events", "org_default"),
      );
    }
    return queues(all).length >= 2;
  });
  expect(queues(seen)).toEqual([
    ["default", 1],
    ["big", 1],
  ]);
  expect(seen.every((message) => message.events.every((event) => event.cursor !== ""))).toBe(true);
});

test("many watchers of one organization cost one reader", async () => {
  const { sql } = fresh.db;
  let reads = 0;
  const counted = new Proxy(sql, {
    apply: (target, self, args) => {
      if (String(args[0]).includes("AS pending")) reads++;
      return Reflect.apply(target, self, args);
    },
  });
  const shared = openTails({ db: { sql: counted }, hints, logger });
  const deps = { db: { sql }, tails: shared, stopping: stopping.signal };
  const start = cursorOf(await watchNow(everything()));
  const watchers = Array.from({ length: 50 }, () =>
    watchUntil(everything(start), (all) => eventsOf(all).length >= 2, deps),
  );
  await plantBuild(sql, await plantJob(sql, "hello"));
  hints.send("events", "org_default");
  for (const messages of await Promise.all(watchers))
    expect(eventsOf(messages).map(word)).toEqual(["job", "build hello#1"]);
  expect(reads).toBeLessThan(50);
});

// Transactions that commit out of order, some that never do, watchers at two replicas that break and come back.
test("every event exactly once and in order, through breaks and out-of-order commits", async () => {
  const others = [openDatabase({ url: fresh.url }), openDatabase({ url: fresh.url })];
  const secondHints = openHints(fresh.url, logger);
  const replicas = [
    { db: fresh.db, tails, stopping: stopping.signal },
    {
      db: others[0] as typeof fresh.db,
      tails: openTails({ db: others[0] as typeof fresh.db, hints: secondHints, logger }),
      stopping: stopping.signal,
    },
  ];
  const start = cursorOf(await watchNow(everything()));
  const write = async (writer: number) => {
    const db = [fresh.db, ...others][writer % 3] as typeof fresh.db;
    for (let n = 0; n < 25; n++) {
      await db
        .transaction(async (tx) => {
          for (let i = 0; i <= Math.random() * 3; i++) {
            await tx`INSERT INTO events (org_id, kind, payload) VALUES ('org_default', 'worker',
              jsonb_build_object('worker_id', 'w', 'name', ${`${writer}-${n}-${i}`}::text, 'state', 'online'))`;
            if (Math.random() < 0.5) await delay(Math.random() * 12);
          }
          if (Math.random() < 0.15) throw new Error("rolled back");
        })
        .catch(() => {});
      if (Math.random() < 0.7) hints.send("events", "org_default");
    }
    return writer;
  };
  const done = Promise.all(Array.from({ length: 9 }, (_, writer) => write(writer)));
  const ended = done.then(async () => {
    await fresh.db.sql`INSERT INTO events (org_id, kind, payload) VALUES ('org_default', 'worker',
      '{"worker_id": "w", "name": "the end", "state": "online"}')`;
    hints.send("events", "org_default");
  });
  const watch = async (watcher: number) => {
    const seen: string[] = [];
    for (let cursor = start; seen.at(-1) !== "worker the end"; ) {
      const budget = Math.ceil(Math.random() * 6);
      const messages = await watchUntil(
        everything(cursor),
        (all) => all.length >= budget || eventsOf(all).some((event) => word(event) === "worker the end"),
        replicas[(watcher + seen.length) % 2],
        50,
      );
      // Now and then a client loses the end of what it was sent, and comes back with the cursor of an event.
      const got = eventsOf(messages);
      const kept = Math.random() < 0.3 && got.length > 1 ? got.slice(0, -1) : got;
      cursor = kept.length < got.length ? (kept.at(-1)?.cursor ?? cursor) : cursorOf(messages);
      seen.push(...kept.map(word));
    }
    return seen;
  };
  const watched = await Promise.all([0, 1, 2, 3, 4, 5].map(watch));
  await ended;
  const rows = await fresh.db.sql<{ name: string }[]>`SELECT payload ->> 'name' AS name FROM events ORDER BY xid, seq`;
  const expected = rows.map((row) => `worker ${row.name}`);
  expect(expected.length).toBeGreaterThan(200);
  for (const seen of watched) expect(seen).toEqual(expected);
  await secondHints.close();
  await Promise.all(others.map((db) => db.close()));
});
