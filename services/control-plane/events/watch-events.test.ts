import { BuildState, StepState } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import type { WatchResponse } from "@ritmo/contract/ritmo/event/v1/event_pb.js";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openLogger } from "../../process/logger.ts";
import { type FreshDatabase, freshDatabase } from "../../testing/fresh-database.ts";
import { plantBuild, plantJob, plantOrganization, plantStep, plantWorker } from "../../testing/plant-rows.ts";
import { cursorOf, eventsOf, everything, isLive, watchNow, watchUntil, word } from "../../testing/watch-until.ts";
import { beginLife } from "../incarnation/begin-life.ts";
import { readLife } from "../incarnation/read-life.ts";
import { type Hints, openHints } from "../store/hints.ts";
import { openDatabase } from "../store/open-database.ts";
import { openTails, type Tails } from "./open-tails.ts";
import { type Position, readCursor, writeCursor } from "./position.ts";
import { type WatchDeps, watchEvents } from "./watch-events.ts";

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

const deps = (): WatchDeps => ({ db: fresh.db, tails, stopping: stopping.signal });

test("without a cursor: what is live now, then what happens", async () => {
  const { sql } = fresh.db;
  const job = await plantJob(sql, "hello");
  await plantBuild(sql, job, { state: "success" });
  const build = await plantBuild(sql, job);
  await plantStep(sql, build, { key: "compile", state: "success" });
  await plantStep(sql, build, { key: "test", state: "queued" });
  await plantWorker(sql, "local");
  const first = await watchNow(deps(), everything());
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
  const later = await watchUntil(deps(), everything(cursorOf(first)), (all) => eventsOf(all).length > 0);
  expect(eventsOf(later)).toHaveLength(1);
  expect(eventsOf(later)[0]?.subject.value).toMatchObject({
    name: "hello#2/test",
    before: StepState.QUEUED,
    state: StepState.CANCELLATION,
  });
});

test("a cursor goes on with history, each event once, whatever cursor is taken; events have their message's", async () => {
  const { sql } = fresh.db;
  const start = cursorOf(await watchNow(deps(), everything()));
  const job = await plantJob(sql, "hello");
  for (let i = 0; i < 5; i++) await plantBuild(sql, job);
  const first = await watchNow(deps(), everything(start));
  await plantBuild(sql, job);
  const words = ["job", ...[1, 2, 3, 4, 5, 6].map((n) => `build hello#${n}`)];
  const all = [...first, ...(await watchNow(deps(), everything(cursorOf(first))))];
  expect(eventsOf(all).map(word)).toEqual(words);
  for (const [i, { cursor, events }] of all.entries()) {
    expect(events.every((event) => event.cursor === cursor)).toBe(true);
    const rest = eventsOf(await watchNow(deps(), everything(cursor)));
    expect(rest.map(word)).toEqual(words.slice(eventsOf(all.slice(0, i + 1)).length));
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
  const first = await watchNow(deps(), watched);
  expect(eventsOf(first).map(word)).toEqual(["build hello#1", "step hello#1/compile"]);
  await sql`UPDATE builds SET state = 'running', finished_at = NULL WHERE id = ${over}`;
  await sql`UPDATE builds SET cancel_requested_at = clock_timestamp() WHERE id = ${other}`;
  const later = await watchNow(deps(), { ...watched, cursor: cursorOf(first) });
  expect(eventsOf(later).map(word)).toEqual(["build hello#1"]);
});

test("only the kinds that are asked for are told; a job comes whole", async () => {
  const { sql } = fresh.db;
  const start = cursorOf(await watchNow(deps(), everything()));
  const job = await plantJob(sql, "hello");
  await plantBuild(sql, job);
  const kept = await plantJob(sql, "gone");
  await sql`UPDATE jobs SET deleted_at = clock_timestamp(), revision = revision + 1 WHERE id = ${kept}`;
  const watched = { ...everything(start), filter: { kinds: ["job" as const] } };
  const [made, ...deleted] = eventsOf(await watchNow(deps(), watched));
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
  const start = cursorOf(await watchNow(deps(), { ...everything(), orgId: stranger }));
  const job = await plantJob(sql, "hello");
  await plantStep(sql, await plantBuild(sql, job), {});
  const theirs = await watchNow(deps(), { ...everything(start), orgId: stranger });
  expect(eventsOf(theirs)).toEqual([]);
  expect(eventsOf(await watchNow(deps(), everything(start)))).toHaveLength(3);
});

test("an event behind a transaction that is still open is held back, and comes in its place", async () => {
  const { sql } = fresh.db;
  const job = await plantJob(sql, "hello");
  const start = cursorOf(await watchNow(deps(), everything()));
  const open = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  const slow = fresh.db.transaction(async (tx) => {
    await plantWorker(tx, "slow");
    begun.resolve();
    await open.promise;
  });
  await begun.promise;
  await plantBuild(sql, job);
  expect(eventsOf(await watchUntil(deps(), everything(start), isLive))).toEqual([]);
  open.resolve();
  await slow;
  const both = await watchUntil(deps(), everything(start), (all) => eventsOf(all).length >= 2);
  expect(eventsOf(both).map(word)).toEqual(["worker slow", "build hello#1"]);
});

test("a cursor that is older than what is kept, or from another database, gets a snapshot", async () => {
  const { sql } = fresh.db;
  const start = cursorOf(await watchNow(deps(), everything()));
  await plantBuild(sql, await plantJob(sql, "hello"));
  expect((await watchNow(deps(), everything(start))).some((message) => message.snapshot)).toBe(false);
  await sql`UPDATE events_dropped SET xid = pg_snapshot_xmin(pg_current_snapshot()), seq = 0`;
  const again = await watchNow(deps(), everything(start));
  expect(again[0]?.snapshot).toBe(true);
  expect(eventsOf(again).map(word)).toContain("build hello#1");
  const { life } = readCursor(start) as Position;
  const future = writeCursor({ life, xid: 2n ** 60n, seq: 1 });
  expect((await watchNow(deps(), everything(future)))[0]?.snapshot).toBe(true);
  await expect(watchUntil(deps(), everything("nonsense"), isLive)).rejects.toMatchObject({ reason: "CURSOR_INVALID" });
});

test("after a restore a cursor of before gets a snapshot, and who watches is told to come again", async () => {
  const { sql } = fresh.db;
  const job = await plantJob(sql, "hello");
  const start = cursorOf(await watchNow(deps(), everything()));
  await plantBuild(sql, job);
  const watching = watchEvents(deps(), everything(start), stopping.signal);
  while (eventsOf([(await watching.next()).value as WatchResponse]).length > 0);
  await beginLife(fresh.db, await readLife(sql), { number: 1, beats: 1 });
  hints.send("events", "org_default");
  await expect(watching.next()).rejects.toMatchObject({ code: "unavailable", reason: "HISTORY_REPLACED" });
  const again = await watchNow(deps(), everything(start));
  expect(again[0]?.snapshot).toBe(true);
  expect(eventsOf(again).map(word)).toContain("build hello#1");
  // The new life's own cursors go on without one.
  await plantBuild(sql, job);
  const later = await watchUntil(deps(), everything(cursorOf(again)), (all) => eventsOf(all).length > 0);
  expect(later.some((message) => message.snapshot)).toBe(false);
  expect(eventsOf(later).map(word)).toEqual(["build hello#2"]);
});

test("a lost hint costs a poll, and lost connections a moment", async () => {
  const { sql } = fresh.db;
  const job = await plantJob(sql, "hello");
  const start = cursorOf(await watchNow(deps(), everything()));
  const watching = watchEvents(deps(), everything(start), stopping.signal);
  const next = async () => ((await watching.next()).value?.events ?? []).map(word);
  expect(await next()).toEqual([]);
  await plantBuild(sql, job);
  expect(await next()).toEqual(["build hello#1"]);
  await using admin = openAdmin(fresh.url);
  await admin.db.sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()`;
  await plantBuild(admin.db.sql, job);
  expect(await next()).toEqual(["build hello#2"]);
  await watching.return(undefined);
});

function openAdmin(url: string) {
  const db = openDatabase({ url, maxConnections: 1 });
  return { db, [Symbol.asyncDispose]: () => db.close() };
}

test("with nothing to tell, beats move the cursor", async () => {
  const beats = await watchUntil(deps(), everything(), (all) => all.length >= 4, 10);
  expect(beats.slice(-2).map((beat) => [beat.events.length, beat.cursor === ""])).toEqual([
    [0, false],
    [0, false],
  ]);
});

test("who does not read is told so, and others go on", async () => {
  const { sql } = fresh.db;
  const job = await plantJob(sql, "hello");
  const start = cursorOf(await watchNow(deps(), everything()));
  const slow = watchEvents(deps(), everything(start), stopping.signal);
  expect((await slow.next()).value?.events).toEqual([]);
  await sql`INSERT INTO events (org_id, kind, payload)
    SELECT 'org_default', 'worker', jsonb_build_object('worker_id', 'wrk_' || n, 'name', 'w' || n, 'state', 'online')
    FROM generate_series(1, 6000) n`;
  await plantBuild(sql, job);
  hints.send("events", "org_default");
  const brisk = await watchUntil(deps(), everything(start), (all) =>
    eventsOf(all).some((e) => e.subject.case === "build"),
  );
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
  const watching = watchUntil(deps(), everything(), () => false);
  const joined = watchUntil(deps(), everything(), isLive);
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
  const seen = await watchUntil(deps(), watched, (all) => {
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
      if (String(args[0]).includes("AS overdue")) reads++;
      return Reflect.apply(target, self, args);
    },
  });
  const shared = openTails({ db: { sql: counted }, hints, logger });
  const sharing = { ...deps(), tails: shared };
  const start = cursorOf(await watchNow(deps(), everything()));
  const watchers = Array.from({ length: 50 }, () =>
    watchUntil(sharing, everything(start), (all) => eventsOf(all).length >= 2),
  );
  await plantBuild(sql, await plantJob(sql, "hello"));
  hints.send("events", "org_default");
  for (const messages of await Promise.all(watchers))
    expect(eventsOf(messages).map(word)).toEqual(["job", "build hello#1"]);
  expect(reads).toBeLessThan(50);
});
