import { expect, test } from "vitest";
import { attendingWorker, runningBuild, stepStates } from "../../testing/build-fixture.ts";
import { freshDatabase } from "../../testing/fresh-database.ts";
import { claimSteps } from "./claim-steps.ts";
import { releaseSession } from "./release-sessions.ts";

test("two workers that claim at once never get the same step, and together get all", async () => {
  await using fresh = await freshDatabase();
  const steps = Array.from({ length: 40 }, (_, i) => ({ key: `s${i}` }));
  const build = await runningBuild(fresh.db, steps);
  const workers = await Promise.all([attendingWorker(fresh.db), attendingWorker(fresh.db), attendingWorker(fresh.db)]);
  const claims = await Promise.all(
    Array.from({ length: 9 }, (_, i) => claimSteps(fresh.db, (workers[i % 3] as (typeof workers)[0]).claimant)),
  );
  const taken = claims.flat().map((step) => step.stepId);
  expect(new Set(taken).size).toBe(taken.length);
  const rest = await claimSteps(fresh.db, { ...(workers[0] as (typeof workers)[0]).claimant, freeSlots: 64 });
  expect(taken.length + rest.length).toBe(40);
  expect(new Set(Object.values(await stepStates(fresh.db, build)))).toEqual(new Set(["leased"]));
  expect(await fresh.db.sql`SELECT FROM queue`).toHaveLength(0);
});

test("a step goes to a worker whose labels cover what it requires, and to no other", async () => {
  await using fresh = await freshDatabase();
  await runningBuild(fresh.db, [{ key: "train", requires: ["gpu=true", "ritmo/executor=process"] }]);
  const plain = await attendingWorker(fresh.db, { labels: ["os=linux"] });
  const gpu = await attendingWorker(fresh.db, { labels: ["gpu=true", "os=linux"] });
  expect(await claimSteps(fresh.db, plain.claimant)).toEqual([]);
  expect((await claimSteps(fresh.db, gpu.claimant)).map((step) => step.attempt)).toEqual([1]);
});

test("what a worker takes at once fits into what it has, in the queue's order", async () => {
  await using fresh = await freshDatabase();
  await runningBuild(
    fresh.db,
    ["a", "b", "c"].map((key) => ({ key, cpuMillis: 1_500 })),
  );
  const worker = await attendingWorker(fresh.db);
  const first = await claimSteps(fresh.db, worker.claimant);
  expect(first).toHaveLength(2);
  expect(await claimSteps(fresh.db, { ...worker.claimant, freeCpuMillis: 1_000 })).toHaveLength(0);
  expect(await claimSteps(fresh.db, worker.claimant)).toHaveLength(1);
});

test("a session that is over gets nothing, and takes nothing off the queue", async () => {
  await using fresh = await freshDatabase();
  await runningBuild(fresh.db, [{ key: "a" }]);
  const late = await attendingWorker(fresh.db, { leaseSeconds: -1 });
  const live = await attendingWorker(fresh.db);
  expect(await claimSteps(fresh.db, late.claimant)).toEqual([]);
  expect(await claimSteps(fresh.db, live.claimant)).toHaveLength(1);
});

test("steps that a lost worker held together go one by one to workers that can't hold them all", async () => {
  await using fresh = await freshDatabase();
  await runningBuild(
    fresh.db,
    ["a", "b"].map((key) => ({ key, cpuMillis: 3_000 })),
  );
  const big = await attendingWorker(fresh.db);
  expect(await claimSteps(fresh.db, { ...big.claimant, freeCpuMillis: 8_000 })).toHaveLength(2);
  await releaseSession(fresh.db, big.claimant.sessionId, "gone");
  const small = await attendingWorker(fresh.db);
  expect(await claimSteps(fresh.db, small.claimant)).toHaveLength(1);
  const other = await attendingWorker(fresh.db);
  expect(await claimSteps(fresh.db, other.claimant)).toHaveLength(1);
});
