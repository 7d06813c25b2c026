import { StepState } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import type { WatchResponse } from "@ritmo/contract/ritmo/event/v1/event_pb.js";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openLogger } from "../../process/logger.ts";
import { type FreshDatabase, freshDatabase } from "../../testing/fresh-database.ts";
import { plantBuild, plantJob, plantStep, plantWorker } from "../../testing/plant-rows.ts";
import { cursorOf, eventsOf, everything, isLive, watchNow, watchUntil } from "../../testing/watch-until.ts";
import { type Hints, openHints } from "../store/hints.ts";
import type { Sql } from "../store/open-database.ts";
import { openTails } from "./open-tails.ts";
import { readEnd, readEvents } from "./read-events.ts";
import type { WatchDeps } from "./watch-events.ts";

let fresh: FreshDatabase;
let hints: Hints;
const logger = openLogger("test", "silent");

beforeEach(async () => {
  fresh = await freshDatabase();
  hints = openHints(fresh.url, logger);
});
afterEach(async () => {
  await hints.close();
  await fresh[Symbol.asyncDispose]();
});

const deps = (): WatchDeps => {
  const tails = openTails({ db: fresh.db, hints, logger });
  return { db: fresh.db, tails, stopping: new AbortController().signal };
};

/** A transaction that has its id; it does what it is given and commits when it is told to. */
async function begin(work: (tx: Sql) => Promise<unknown> = async () => {}) {
  const go = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  const over = fresh.db.transaction(async (tx) => {
    await tx`SELECT pg_current_xact_id()`;
    begun.resolve();
    await go.promise;
    await work(tx);
  });
  await begun.promise;
  return {
    commit: async () => {
      go.resolve();
      await over;
    },
  };
}

/** The states that a step was told to be in, one after the other. */
function statesOf(messages: WatchResponse[], stepId: string): StepState[] {
  return eventsOf(messages).flatMap(({ subject }) =>
    subject.case === "step" && subject.value.stepId === stepId ? [subject.value.state] : [],
  );
}

const lease = (
  sql: Sql,
  id: string,
) => sql`UPDATE steps SET state = 'leased', attempt = attempt + 1, session_id = 'ses_1',
  lease_id = gen_random_uuid() WHERE id = ${id}`;
const release = (sql: Sql, id: string) =>
  sql`UPDATE steps SET state = 'queued', session_id = NULL, lease_id = NULL WHERE id = ${id}`;
const cancel = (sql: Sql, id: string) =>
  sql`UPDATE steps SET state = 'cancellation', finished_at = clock_timestamp() WHERE id = ${id}`;
const HAPPENED = [StepState.LEASED, StepState.QUEUED, StepState.CANCELLATION];

async function plantQueued(): Promise<string> {
  const { sql } = fresh.db;
  return await plantStep(sql, await plantBuild(sql, await plantJob(sql, "hello")), { state: "queued" });
}

test("a transaction that began before another and changed a row after it is told after it", async () => {
  const step = await plantQueued();
  const start = cursorOf(await watchNow(deps(), everything()));
  const early = await begin((tx) => cancel(tx, step));
  await fresh.db.transaction(async (tx) => {
    await lease(tx, step);
    await release(tx, step);
  });
  await early.commit();
  const [{ inverted } = {}] = await fresh.db.sql`SELECT (SELECT payload ->> 'state' FROM events
    WHERE kind = 'step' ORDER BY xid DESC, seq DESC LIMIT 1) <> 'cancellation' AS inverted`;
  expect(inverted).toBe(true);
  expect(statesOf(await watchNow(deps(), everything(start)), step)).toEqual(HAPPENED);
});

test("so it is when a third one between them is open still, to who was there, who joins and who comes back", async () => {
  const step = await plantQueued();
  const { sql } = fresh.db;
  const start = cursorOf(await watchNow(deps(), everything()));
  const early = await begin((tx) => cancel(tx, step));
  const between = await begin((tx) => plantWorker(tx, "between"));
  await lease(sql, step);
  await release(sql, step);
  await early.commit();
  // What was before them is told; the cancellation is final, and waits for what came before it.
  const held = await watchUntil(deps(), everything(start), isLive);
  expect(statesOf(held, step)).toEqual([]);
  const enough = (all: WatchResponse[]) => statesOf(all, step).length >= 3;
  const joined = Promise.withResolvers<void>();
  const fromNow = watchUntil(deps(), everything(), (all) => {
    if (isLive(all)) joined.resolve();
    return (
      isLive(all) &&
      statesOf(
        all.filter((message) => !message.snapshot),
        step,
      ).length >= 3
    );
  });
  await joined.promise;
  const there = watchUntil(deps(), everything(cursorOf(held)), enough);
  await between.commit();
  expect(statesOf(await there, step)).toEqual(HAPPENED);
  // A snapshot is the state as it was; what it may have seen already follows once more, whole.
  expect(statesOf(await fromNow, step)).toEqual([StepState.CANCELLATION, ...HAPPENED]);
  expect(statesOf(await watchNow(deps(), everything(start)), step)).toEqual(HAPPENED);
});

test("pages of any size bring each event once, with every row's events in order", async () => {
  const { sql } = fresh.db;
  const step = await plantQueued();
  const from = await readEnd(sql, "org_default");
  const early = await begin(async (tx) => {
    for (let i = 0; i < 8; i++) await plantWorker(tx, `early-${i}`);
    await cancel(tx, step);
  });
  await lease(sql, step);
  for (let i = 0; i < 5; i++) await plantWorker(sql, `later-${i}`);
  await release(sql, step);
  await early.commit();
  await watchNow(deps(), everything());
  const words = async (limit: number) => {
    const told: string[] = [];
    for (let after = from, more = true; more; ) {
      const page = await readEvents(sql, "org_default", { after, limit });
      told.push(...page.rows.map(({ payload }) => `${payload["name"]} ${payload["state"]}`));
      ({ position: after, more } = page);
    }
    return told;
  };
  const whole = await words(500);
  for (let limit = 1; limit < 20; limit++) {
    const told = await words(limit);
    expect(told.toSorted()).toEqual(whole.toSorted());
    const steps = told.filter((one) => one.startsWith("hello#1/"));
    expect(steps.slice(-3).map((one) => one.split(" ")[1])).toEqual(["leased", "queued", "cancellation"]);
  }
});
