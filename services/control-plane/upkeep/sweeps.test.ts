import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { openLogger } from "../../process/logger.ts";
import { readSettings } from "../../process/read-settings.ts";
import { attendingWorker, ORG, runningBuild, stepStates, type WorkerFixture } from "../../testing/build-fixture.ts";
import { type FreshDatabase, freshDatabase } from "../../testing/fresh-database.ts";
import { CONTROL_PLANE_SETTINGS } from "../config.ts";
import type { Core } from "../core.ts";
import { openMetrics } from "../metrics.ts";
import { claimSteps, type LeasedStep } from "../queue/claim-steps.ts";
import { finishStep } from "../queue/finish-step.ts";
import { releaseExpired } from "../queue/release-sessions.ts";
import type { Hints } from "../store/hints.ts";
import { openDatabase } from "../store/open-database.ts";
import { advanceStuck } from "./advance-stuck.ts";
import { beatPulse } from "./beat-pulse.ts";
import { forgetOld } from "./forget-old.ts";
import { makePartitions } from "./make-partitions.ts";
import { markOffline } from "./mark-offline.ts";
import { requeueLost } from "./requeue-lost.ts";

// What a replica leaves behind that dies between two statements, and what the others do about it. Hints are deaf
// here: a sweep must not need them.

const LEASE_SECONDS = 20;
const deaf: Hints = { send() {}, wait: () => Promise.resolve(), on: () => () => {}, close: () => Promise.resolve() };

/** One replica's view of a database; two of them are two replicas. */
function replica(db: Core["db"]): Core {
  const { values } = readSettings(CONTROL_PLANE_SETTINGS, { RITMO_LEASE_SECONDS: String(LEASE_SECONDS) });
  return {
    config: values,
    url: "http://ritmo.test",
    db,
    hints: deaf,
    blobs: {} as Core["blobs"],
    metrics: openMetrics({ processMetrics: false }),
    logger: openLogger("test", "silent"),
    stopping: new AbortController().signal,
  };
}

/** Records the end of a step as FinishStep does; the replica dies before it draws any consequence. */
async function finishAndDie({ db }: FreshDatabase, worker: WorkerFixture, step: LeasedStep, code = 0): Promise<void> {
  await finishStep(db.sql, worker.caller, {
    leaseId: step.leaseId,
    resultId: randomUUID(),
    end: { kind: "exited", code },
    startedAt: undefined,
    endedAt: undefined,
    failedEntry: 0,
    finalOffset: 0,
    finalPrepareOffset: 0,
    logSha256: new Uint8Array(32),
    droppedLogBytes: 0,
  });
}

async function claimOne({ db }: FreshDatabase, worker: WorkerFixture): Promise<LeasedStep> {
  const [step] = await claimSteps(db, { ...worker.claimant, freeSlots: 1 });
  if (!step) throw new Error("nothing to claim");
  return step;
}

const stateOf = async ({ db }: FreshDatabase, build: string) =>
  (await db.sql<{ state: string }[]>`SELECT state FROM builds WHERE id = ${build}`)[0]?.state;

test("a build whose replica died between finish and advance goes on, and ends, through any other", async () => {
  await using fresh = await freshDatabase();
  const core = replica(fresh.db);
  const build = await runningBuild(fresh.db, [{ key: "a" }, { key: "b", needs: ["a"] }]);
  const worker = await attendingWorker(fresh.db);
  await finishAndDie(fresh, worker, await claimOne(fresh, worker));
  expect(await stepStates(fresh.db, build)).toEqual({ a: "success", b: "waiting" });
  await advanceStuck(core);
  expect(await stepStates(fresh.db, build)).toEqual({ a: "success", b: "queued" });
  await finishAndDie(fresh, worker, await claimOne(fresh, worker), 3);
  expect(await stateOf(fresh, build)).toBe("running");
  await advanceStuck(core);
  expect(await stateOf(fresh, build)).toBe("failure");
});

test("two replicas that go on with the same builds at once open each step once and end each build once", async () => {
  await using fresh = await freshDatabase();
  const other = openDatabase({ url: fresh.url });
  try {
    const worker = await attendingWorker(fresh.db);
    const shapes = Array.from({ length: 12 }, () => [{ key: "a" }, { key: "b", needs: ["a"] }]);
    for (const shape of shapes) await runningBuild(fresh.db, shape);
    const [one, two] = [replica(fresh.db), replica(other)];
    for (const round of ["a", "b"]) {
      const steps = await claimSteps(fresh.db, { ...worker.claimant, freeSlots: 64 });
      expect([round, steps.length]).toEqual([round, shapes.length]);
      for (const step of steps) await finishAndDie(fresh, worker, step);
      await Promise.all([advanceStuck(one), advanceStuck(two), requeueLost(one), requeueLost(two)]);
    }
    // The history is what was committed: every state of every step and build once.
    const ended = await fresh.db.sql<{ state: string; count: number }[]>`
      SELECT state, count(*)::int FROM builds GROUP BY state`;
    expect([...ended]).toEqual([{ state: "success", count: shapes.length }]);
    const [{ twice }] = await fresh.db.sql<[{ twice: number }]>`
      SELECT count(*)::int AS twice FROM builds WHERE revision > 3`;
    expect(twice).toBe(0);
    const attempts = await fresh.db.sql`SELECT 1 FROM attempts`;
    expect(attempts.length).toBe(2 * shapes.length);
  } finally {
    await other.close();
  }
});

test("a build that can't go on holds up no other", async () => {
  await using fresh = await freshDatabase();
  const worker = await attendingWorker(fresh.db);
  const builds: string[] = [];
  for (let i = 0; i < 4; i++) builds.push(await runningBuild(fresh.db, [{ key: "a" }]));
  for (const step of await claimSteps(fresh.db, worker.claimant)) await finishAndDie(fresh, worker, step);
  const [bad, ...good] = builds as [string, ...string[]];
  await fresh.db
    .sql`ALTER TABLE builds ADD CONSTRAINT stuck CHECK (state <> 'success' OR id <> ${fresh.db.sql.unsafe(`'${bad}'`)})`;
  await advanceStuck(replica(fresh.db));
  for (const build of good) expect(await stateOf(fresh, build)).toBe("success");
  expect(await stateOf(fresh, bad)).toBe("running");
});

test("a build that has something under way is left alone", async () => {
  await using fresh = await freshDatabase();
  const build = await runningBuild(fresh.db, [{ key: "a" }, { key: "b", needs: ["a"] }, { key: "c" }]);
  const worker = await attendingWorker(fresh.db);
  await claimOne(fresh, worker);
  const before = await stepStates(fresh.db, build);
  await advanceStuck(replica(fresh.db));
  expect(await stepStates(fresh.db, build)).toEqual(before);
  expect(await stateOf(fresh, build)).toBe("running");
});

test("a queued step that has lost its place gets one back, once; one that was queued just now is not doubted", async () => {
  await using fresh = await freshDatabase();
  const core = replica(fresh.db);
  await runningBuild(fresh.db, [{ key: "lost" }, { key: "kept" }]);
  const worker = await attendingWorker(fresh.db);
  const lose = () => fresh.db.sql`DELETE FROM queue q USING steps s WHERE s.id = q.step_id AND s.key = 'lost'`;
  await lose();
  await requeueLost(core);
  expect((await fresh.db.sql`SELECT 1 FROM queue`).length).toBe(1);
  await fresh.db.sql`UPDATE steps SET queued_at = clock_timestamp() - interval '11 seconds'`;
  await Promise.all([requeueLost(core), requeueLost(core)]);
  await requeueLost(core);
  expect((await fresh.db.sql`SELECT 1 FROM queue`).length).toBe(2);
  expect(await claimSteps(fresh.db, worker.claimant)).toHaveLength(2);
});

/** A worker whose lease ran out while it had a step. */
async function silentWorker(fresh: FreshDatabase): Promise<string> {
  const build = await runningBuild(fresh.db, [{ key: "a" }]);
  const worker = await attendingWorker(fresh.db);
  await claimOne(fresh, worker);
  await fresh.db.sql`
    UPDATE sessions SET expires_at = clock_timestamp() - interval '1 minute' WHERE id = ${worker.claimant.sessionId}`;
  return build;
}

test("after the database was away nobody's lease ends for two lease times; without a gap it ends at once", async () => {
  await using fresh = await freshDatabase();
  const core = replica(fresh.db);
  await silentWorker(fresh);
  await fresh.db.sql`UPDATE pulse SET at = clock_timestamp() - interval '1 minute'`;
  await beatPulse(core);
  const [grace] = await fresh.db.sql<[{ seconds: number }]>`
    SELECT extract(epoch FROM grace_until - at)::float8 AS seconds FROM pulse`;
  expect(grace.seconds).toBeCloseTo(2 * LEASE_SECONDS, 0);
  expect(await releaseExpired(fresh.db, 0)).toEqual([]);
  // The next beats find no gap and leave the grace as it is, neither longer nor over.
  await beatPulse(core);
  expect(await releaseExpired(fresh.db, 0)).toEqual([]);
  await fresh.db.sql`UPDATE pulse SET grace_until = clock_timestamp() - interval '1 second'`;
  await beatPulse(core);
  expect(await releaseExpired(fresh.db, 0)).toMatchObject([{ state: "queued" }]);
});

test("a session that said good-bye is not spared", async () => {
  await using fresh = await freshDatabase();
  await silentWorker(fresh);
  await fresh.db.sql`UPDATE sessions SET expires_at = '-infinity'`;
  await fresh.db.sql`UPDATE pulse SET at = clock_timestamp() - interval '1 minute'`;
  await beatPulse(replica(fresh.db));
  expect(await releaseExpired(fresh.db, 0)).toMatchObject([{ state: "queued" }]);
});

test("workers whose sessions are all over are offline, and those that may still come are not", async () => {
  await using fresh = await freshDatabase();
  const { sql } = fresh.db;
  const core = replica(fresh.db);
  const [gone, here, both] = await Promise.all([1, 2, 3].map(() => attendingWorker(fresh.db)));
  const expire = (worker: WorkerFixture | undefined) =>
    sql`UPDATE sessions SET expires_at = clock_timestamp() - interval '1 second' WHERE id = ${worker?.claimant.sessionId ?? ""}`;
  await expire(gone);
  await expire(both);
  // An older session is over, a newer one is not.
  await sql`INSERT INTO sessions (id, org_id, worker_id, resume_key_hash, expires_at)
    VALUES ('ses_newer', ${ORG}, ${both?.caller.workerId ?? ""}, '\\x00', clock_timestamp() + interval '1 minute')`;
  await sql`UPDATE workers SET state = 'draining' WHERE id = ${gone?.caller.workerId ?? ""}`;
  const states = async () => {
    const rows = await sql<{ id: string; state: string }[]>`SELECT id, state FROM workers`;
    return [gone, here, both].map((worker) => rows.find((row) => row.id === worker?.caller.workerId)?.state);
  };
  await sql`UPDATE pulse SET grace_until = clock_timestamp() + interval '1 minute'`;
  await markOffline(core);
  expect(await states()).toEqual(["draining", "online", "online"]);
  await sql`UPDATE pulse SET grace_until = clock_timestamp()`;
  await markOffline(core);
  expect(await states()).toEqual(["offline", "online", "online"]);
});

test("partitions of the next days are made once, whoever makes them", async () => {
  await using fresh = await freshDatabase();
  const core = replica(fresh.db);
  const count = async () => (await fresh.db.sql`SELECT 1 FROM pg_inherits`).length;
  await makePartitions(core);
  const made = await count();
  await Promise.all([makePartitions(core), makePartitions(core)]);
  expect(await count()).toBe(made);
});

test("old answers and sessions are forgotten, younger ones and those that hold a step are kept", async () => {
  await using fresh = await freshDatabase();
  const { sql } = fresh.db;
  const answer = (age: string) => sql`
    INSERT INTO requests (org_id, principal, method, request_id, request_hash, response, created_at)
    VALUES (${ORG}, 'p', 'm', ${randomUUID()}, '', '', clock_timestamp() - ${age}::interval)`;
  await answer("73 hours");
  await answer("71 hours");
  await silentWorker(fresh);
  await attendingWorker(fresh.db);
  await sql`UPDATE sessions SET expires_at = clock_timestamp() - interval '2 days'`;
  await forgetOld(replica(fresh.db));
  expect((await sql`SELECT 1 FROM requests`).length).toBe(1);
  const sessions = await sql<{ holds: boolean }[]>`
    SELECT EXISTS (SELECT FROM steps WHERE steps.session_id = sessions.id) AS holds FROM sessions`;
  expect([...sessions]).toEqual([{ holds: true }]);
});
