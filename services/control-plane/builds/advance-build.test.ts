import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { openLogger } from "../../process/logger.ts";
import { attendingWorker, runningBuild, stepStates, type WorkerFixture } from "../../testing/build-fixture.ts";
import { type FreshDatabase, freshDatabase } from "../../testing/fresh-database.ts";
import { openMetrics } from "../metrics.ts";
import { claimSteps } from "../queue/claim-steps.ts";
import { finishStep } from "../queue/finish-step.ts";
import type { Hints } from "../store/hints.ts";
import { advanceBuild } from "./advance-build.ts";
import { cancelBuild } from "./cancel-build.ts";
import { retryBuild } from "./retry-build.ts";

const deaf: Hints = { send() {}, wait: () => Promise.resolve(), on: () => () => {}, close: () => Promise.resolve() };

function coreOf({ db }: FreshDatabase) {
  return { db, hints: deaf, metrics: openMetrics({ processMetrics: false }), logger: openLogger("test", "silent") };
}

/** Claims everything that is ready and ends each step as told, without drawing the consequences. */
async function run(fresh: FreshDatabase, worker: WorkerFixture, codes: Record<string, number> = {}) {
  const ended: string[] = [];
  for (const step of await claimSteps(fresh.db, worker.claimant)) {
    const [row] = await fresh.db.sql<{ key: string }[]>`SELECT key FROM steps WHERE id = ${step.stepId}`;
    await finishStep(fresh.db.sql, worker.caller, {
      leaseId: step.leaseId,
      resultId: randomUUID(),
      end: { kind: "exited", code: codes[row?.key ?? ""] ?? 0 },
      startedAt: undefined,
      endedAt: undefined,
      failedEntry: 0,
      finalOffset: 0,
      finalPrepareOffset: 0,
      logSha256: new Uint8Array(32),
      droppedLogBytes: 0,
    });
    ended.push(step.stepId);
  }
  return ended;
}

async function buildOf(fresh: FreshDatabase, id: string) {
  const [row] = await fresh.db.sql`SELECT state, reason, cause FROM builds WHERE id = ${id}`;
  return row;
}

const DIAMOND = [
  { key: "top" },
  { key: "left", needs: ["top"] },
  { key: "right", needs: ["top"] },
  { key: "bottom", needs: ["left", "right"] },
];

test("a diamond opens its last step once, when the two before it end at the same time", async () => {
  await using fresh = await freshDatabase();
  const core = coreOf(fresh);
  const build = await runningBuild(fresh.db, DIAMOND);
  const worker = await attendingWorker(fresh.db);
  await advanceBuild(core, build, await run(fresh, worker));
  const both = await run(fresh, worker);
  expect(both).toHaveLength(2);
  await Promise.all(both.map((id) => advanceBuild(core, build, [id])));
  expect(await stepStates(fresh.db, build)).toMatchObject({ bottom: "queued" });
  expect(await fresh.db.sql`SELECT FROM queue`).toHaveLength(1);
  await advanceBuild(core, build, await run(fresh, worker));
  expect(await buildOf(fresh, build)).toEqual({ state: "success", reason: "", cause: "" });
});

test("what needs a failed step is skipped with the reason, through every generation, and the build names the first cause", async () => {
  await using fresh = await freshDatabase();
  const build = await runningBuild(fresh.db, [...DIAMOND, { key: "alone" }]);
  const worker = await attendingWorker(fresh.db);
  await advanceBuild(coreOf(fresh), build, await run(fresh, worker, { top: 7 }));
  expect(await stepStates(fresh.db, build)).toEqual({
    top: "failure",
    left: "skip",
    right: "skip",
    bottom: "skip",
    alone: "success",
  });
  expect(await buildOf(fresh, build)).toEqual({
    state: "failure",
    reason: "STEP_FAILED",
    cause: "top: It exited with 7.",
  });
});

test("any replica may draw the consequences again, or for the first time, without knowing what ended", async () => {
  await using fresh = await freshDatabase();
  const core = coreOf(fresh);
  const build = await runningBuild(fresh.db, DIAMOND);
  const worker = await attendingWorker(fresh.db);
  await run(fresh, worker);
  await Promise.all([advanceBuild(core, build), advanceBuild(core, build), advanceBuild(core, build)]);
  expect(await stepStates(fresh.db, build)).toEqual({
    top: "success",
    left: "queued",
    right: "queued",
    bottom: "waiting",
  });
  expect(await fresh.db.sql`SELECT FROM queue`).toHaveLength(2);
});

test("a cancelled build starts nothing more, stops what runs, and ends as cancelled when that has ended", async () => {
  await using fresh = await freshDatabase();
  const core = coreOf(fresh);
  const build = await runningBuild(fresh.db, [...DIAMOND, { key: "queued" }]);
  const worker = await attendingWorker(fresh.db, { slots: 1 });
  const [leased] = await claimSteps(fresh.db, worker.claimant);
  expect(await cancelBuild(fresh.db.sql, build, "Cancelled by a test.")).toEqual({
    sessions: [worker.claimant.sessionId],
  });
  await advanceBuild(core, build);
  expect(await claimSteps(fresh.db, worker.claimant)).toEqual([]);
  expect(Object.values(await stepStates(fresh.db, build)).sort()).toEqual([
    "cancellation",
    "cancellation",
    "cancellation",
    "cancellation",
    "leased",
  ]);
  await finishStep(fresh.db.sql, worker.caller, {
    leaseId: leased?.leaseId ?? "",
    resultId: randomUUID(),
    end: { kind: "stopped", reason: "asked" },
    startedAt: undefined,
    endedAt: undefined,
    failedEntry: 0,
    finalOffset: 0,
    finalPrepareOffset: 0,
    logSha256: new Uint8Array(32),
    droppedLogBytes: 0,
  });
  await advanceBuild(core, build, [leased?.stepId ?? ""]);
  expect(await buildOf(fresh, build)).toEqual({
    state: "cancellation",
    reason: "CANCELLED",
    cause: "Cancelled by a test.",
  });
  await expect(cancelBuild(fresh.db.sql, build, "again")).rejects.toMatchObject({ reason: "BUILD_OVER" });
});

test("cancelling and claiming at once: every step is either cancelled or leased with the wish to stop", async () => {
  await using fresh = await freshDatabase();
  for (let round = 0; round < 15; round++) {
    const build = await runningBuild(
      fresh.db,
      Array.from({ length: 8 }, (_, i) => ({ key: `s${i}` })),
    );
    const worker = await attendingWorker(fresh.db, { slots: 4 });
    const [, claimed] = await Promise.all([
      cancelBuild(fresh.db.sql, build, "now"),
      Promise.all([claimSteps(fresh.db, worker.claimant), claimSteps(fresh.db, worker.claimant)]),
    ]);
    const rows = await fresh.db.sql`SELECT id, state, cancel_requested_at FROM steps WHERE build_id = ${build}`;
    for (const row of rows) {
      expect(["cancellation", "leased"]).toContain(row["state"]);
      expect(row["cancel_requested_at"]).not.toBeNull();
    }
    const leased = rows.filter((row) => row["state"] === "leased").map((row) => row["id"]);
    expect(new Set(claimed.flat().map((step) => step.stepId))).toEqual(new Set(leased));
  }
});

test("a retry reopens the build for what did not succeed, keeps what did, and can end well", async () => {
  await using fresh = await freshDatabase();
  const core = coreOf(fresh);
  const build = await runningBuild(fresh.db, DIAMOND);
  const worker = await attendingWorker(fresh.db);
  await advanceBuild(core, build, await run(fresh, worker));
  await expect(fresh.db.transaction((tx) => retryBuild(tx, build, []))).rejects.toMatchObject({
    reason: "BUILD_RUNNING",
  });
  await advanceBuild(core, build, await run(fresh, worker, { left: 1 }));
  expect(await buildOf(fresh, build)).toMatchObject({ state: "failure" });
  await fresh.db.transaction((tx) => retryBuild(tx, build, []));
  await advanceBuild(core, build);
  expect(await stepStates(fresh.db, build)).toEqual({
    top: "success",
    left: "queued",
    right: "success",
    bottom: "waiting",
  });
  await advanceBuild(core, build, await run(fresh, worker));
  await advanceBuild(core, build, await run(fresh, worker));
  expect(await buildOf(fresh, build)).toMatchObject({ state: "success" });
  await expect(fresh.db.transaction((tx) => retryBuild(tx, build, []))).rejects.toMatchObject({
    reason: "NOTHING_TO_RETRY",
  });
  const attempts = await fresh.db
    .sql`SELECT a.number, a.state FROM attempts a JOIN steps s ON s.id = a.step_id WHERE s.key = 'left' ORDER BY a.number`;
  expect([...attempts]).toEqual([
    { number: 1, state: "failure" },
    { number: 2, state: "success" },
  ]);
});
