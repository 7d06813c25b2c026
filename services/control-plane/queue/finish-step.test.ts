import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { attendingWorker, runningBuild, stepStates, type WorkerFixture } from "../../testing/build-fixture.ts";
import { freshDatabase } from "../../testing/fresh-database.ts";
import type { Db } from "../store/open-database.ts";
import { claimSteps } from "./claim-steps.ts";
import type { AttemptEnd } from "./decide-end.ts";
import { type FinishedAttempt, finishStep } from "./finish-step.ts";
import { releaseExpired, releaseSession } from "./release-sessions.ts";
import { startStep } from "./start-step.ts";

async function leased(db: Db, worker: WorkerFixture) {
  const [step] = await claimSteps(db, worker.claimant);
  if (!step) throw new Error("nothing to claim");
  return step;
}

function finishOf(leaseId: string, end: AttemptEnd, more: Partial<FinishedAttempt> = {}): FinishedAttempt {
  return {
    leaseId,
    resultId: randomUUID(),
    end,
    startedAt: undefined,
    endedAt: undefined,
    failedEntry: 0,
    finalOffset: 0,
    finalPrepareOffset: 0,
    logSha256: new Uint8Array(32),
    droppedLogBytes: 0,
    ...more,
  };
}

const exited = (code: number): AttemptEnd => ({ kind: "exited", code });

test("a finish is recorded once and answered alike when it is repeated, also after the lease is gone", async () => {
  await using fresh = await freshDatabase();
  const build = await runningBuild(fresh.db, [{ key: "a" }]);
  const worker = await attendingWorker(fresh.db);
  const { leaseId } = await leased(fresh.db, worker);
  await startStep(fresh.db.sql, worker.caller, leaseId, "running", undefined);
  const finish = finishOf(leaseId, exited(0));
  const first = await finishStep(fresh.db.sql, worker.caller, finish);
  expect(first?.decision.step).toBe("success");
  expect(await finishStep(fresh.db.sql, worker.caller, finish)).toBeUndefined();
  expect(await stepStates(fresh.db, build)).toEqual({ a: "success" });
});

test("another result for the same attempt is a conflict, and the first stands", async () => {
  await using fresh = await freshDatabase();
  const build = await runningBuild(fresh.db, [{ key: "a" }]);
  const worker = await attendingWorker(fresh.db);
  const { leaseId } = await leased(fresh.db, worker);
  await finishStep(fresh.db.sql, worker.caller, finishOf(leaseId, exited(3)));
  await expect(finishStep(fresh.db.sql, worker.caller, finishOf(leaseId, exited(0)))).rejects.toMatchObject({
    reason: "RESULT_CONFLICT",
  });
  expect(await stepStates(fresh.db, build)).toEqual({ a: "failure" });
});

test("nothing of a stale attempt is accepted: not its start, not its finish; the newer one's is", async () => {
  await using fresh = await freshDatabase();
  const build = await runningBuild(fresh.db, [{ key: "a" }]);
  const worker = await attendingWorker(fresh.db);
  const stale = await leased(fresh.db, worker);
  await releaseSession(fresh.db, worker.claimant.sessionId, "test");
  const lost = { reason: "LEASE_LOST" };
  await expect(startStep(fresh.db.sql, worker.caller, stale.leaseId, "running", undefined)).rejects.toMatchObject(lost);
  await expect(finishStep(fresh.db.sql, worker.caller, finishOf(stale.leaseId, exited(0)))).rejects.toMatchObject(lost);
  const second = await leased(fresh.db, worker);
  expect(second.attempt).toBe(2);
  await expect(finishStep(fresh.db.sql, worker.caller, finishOf(stale.leaseId, exited(0)))).rejects.toMatchObject(lost);
  await finishStep(fresh.db.sql, worker.caller, finishOf(second.leaseId, exited(5)));
  expect(await stepStates(fresh.db, build)).toEqual({ a: "failure" });
});

test("another worker's finish for a lease is refused as if the lease were gone", async () => {
  await using fresh = await freshDatabase();
  await runningBuild(fresh.db, [{ key: "a" }]);
  const [worker, thief] = [await attendingWorker(fresh.db), await attendingWorker(fresh.db)];
  const { leaseId } = await leased(fresh.db, worker);
  await expect(finishStep(fresh.db.sql, thief.caller, finishOf(leaseId, exited(0)))).rejects.toMatchObject({
    reason: "LEASE_LOST",
  });
  expect((await finishStep(fresh.db.sql, worker.caller, finishOf(leaseId, exited(0))))?.decision.step).toBe("success");
});

test("a finish ahead of its log is told where the log stands", async () => {
  await using fresh = await freshDatabase();
  await runningBuild(fresh.db, [{ key: "a" }]);
  const worker = await attendingWorker(fresh.db);
  const { leaseId } = await leased(fresh.db, worker);
  await expect(
    finishStep(fresh.db.sql, worker.caller, finishOf(leaseId, exited(0), { finalOffset: 10 })),
  ).rejects.toMatchObject({ reason: "LOG_BEHIND", details: { metadata: { expected_offset: "0" } } });
});

test("an end by our fault queues the step again twice, and gives it up the third time", async () => {
  await using fresh = await freshDatabase();
  const build = await runningBuild(fresh.db, [{ key: "a" }]);
  const worker = await attendingWorker(fresh.db);
  const broken: AttemptEnd = { kind: "broken", reason: "CHECKOUT_FAILED", message: "No disk.", authorFault: false };
  for (const state of ["queued", "queued", "error"]) {
    const { leaseId } = await leased(fresh.db, worker);
    await finishStep(fresh.db.sql, worker.caller, finishOf(leaseId, broken));
    expect(await stepStates(fresh.db, build)).toEqual({ a: state });
  }
  const [step] = await fresh.db.sql`SELECT cause, attempt FROM steps WHERE build_id = ${build}`;
  expect(step).toEqual({ cause: "No disk. It was tried 3 times.", attempt: 3 });
});

test("leases of an expired session are taken back; of a live one not; none while the database's grace lasts", async () => {
  await using fresh = await freshDatabase();
  const { sql } = fresh.db;
  const build = await runningBuild(fresh.db, [{ key: "a" }, { key: "b" }]);
  const [one, two] = [await attendingWorker(fresh.db, { slots: 1 }), await attendingWorker(fresh.db, { slots: 1 })];
  await leased(fresh.db, one);
  await leased(fresh.db, two);
  await sql`UPDATE sessions SET expires_at = clock_timestamp() - interval '3 seconds' WHERE id = ${one.claimant.sessionId}`;
  await sql`UPDATE pulse SET grace_until = clock_timestamp() + interval '1 minute'`;
  expect(await releaseExpired(fresh.db, 2)).toEqual([]);
  await sql`UPDATE pulse SET grace_until = clock_timestamp() - interval '1 second'`;
  expect(await releaseExpired(fresh.db, 5)).toEqual([]);
  expect((await releaseExpired(fresh.db, 2)).map((step) => step.state)).toEqual(["queued"]);
  expect(await stepStates(fresh.db, build)).toEqual({ a: "queued", b: "leased" });
  const [attempt] = await sql`SELECT state, reason, log_incomplete FROM attempts WHERE state <> 'leased'`;
  expect(attempt).toEqual({ state: "error", reason: "WORKER_LOST", log_incomplete: true });
});
