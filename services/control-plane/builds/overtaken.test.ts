import { randomUUID } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { StepSchema } from "@ritmo/contract/ritmo/pipeline/v1/pipeline_pb.js";
import { expect, test } from "vitest";
import { openLogger } from "../../process/logger.ts";
import { newId } from "../../process/new-id.ts";
import { attendingWorker, ORG, runningBuild, stepStates } from "../../testing/build-fixture.ts";
import { type FreshDatabase, freshDatabase } from "../../testing/fresh-database.ts";
import { openMetrics } from "../metrics.ts";
import { claimSteps, type LeasedStep } from "../queue/claim-steps.ts";
import type { AttemptEnd } from "../queue/decide-end.ts";
import { finishStep } from "../queue/finish-step.ts";
import { releaseSession } from "../queue/release-sessions.ts";
import type { Hints } from "../store/hints.ts";
import type { Db, Sql } from "../store/open-database.ts";
import { advanceBuild } from "./advance-build.ts";
import { cancelBuild } from "./cancel-build.ts";
import { createBuild } from "./create-build.ts";
import { openBuild } from "./open-build.ts";
import { retryBuild } from "./retry-build.ts";

// One verb stands still in the middle while another one passes it.

const deaf: Hints = { send() {}, wait: () => Promise.resolve(), on: () => () => {}, close: () => Promise.resolve() };

function coreOf(db: Db) {
  return { db, hints: deaf, metrics: openMetrics({ processMetrics: false }), logger: openLogger("test", "silent") };
}

function finishOf(leaseId: string, end: AttemptEnd) {
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
  };
}

/** Does something in a transaction that stays open until `commit`. */
async function uncommitted({ db }: FreshDatabase, run: (tx: Sql) => Promise<unknown>) {
  const done = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  const over = db.transaction(async (tx) => {
    await run(tx);
    done.resolve();
    await gate.promise;
  });
  await Promise.race([done.promise, over]);
  return {
    async commit() {
      gate.resolve();
      await over;
    },
  };
}

async function somebodyWaits({ db }: FreshDatabase) {
  const waiting = () => db.sql`
    SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`;
  await expect.poll(async () => (await waiting()).length).toBeGreaterThan(0);
}

/** A database on which the first statement that `stops` names stands still after it was answered. */
function standingStill(db: Db, stops: string) {
  const read = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  let stopped = false;
  const sql = new Proxy(db.sql, {
    apply(target, self, args: [TemplateStringsArray, ...never[]]) {
      const query = Reflect.apply(target, self, args);
      if (stopped || !args[0].raw || !args[0].join("").includes(stops)) return query;
      stopped = true;
      return (async () => {
        const rows = await query;
        read.resolve();
        await gate.promise;
        return rows;
      })();
    },
  });
  return { db: { ...db, sql }, read: read.promise, goOn: () => gate.resolve() };
}

test("a cancel that comes while a build opens ends the steps that it opens with", async () => {
  await using fresh = await freshDatabase();
  const { db } = fresh;
  const jobId = newId("job");
  await db.sql`INSERT INTO jobs (id, org_id, name, repository, pipeline_text) VALUES (${jobId}, ${ORG}, 'j', '', 'x')`;
  const id = await createBuild(db.sql, { orgId: ORG, jobId, source: undefined, createdBy: "test" });
  const source = { commit: "c", authorName: "", authorEmail: "", message: "" };
  const spec = create(StepSchema, { name: "a" });
  const plan = { steps: [{ key: "a", position: 0, needs: [], requires: ["ritmo/executor=process"], spec }] };
  const opening = await uncommitted(fresh, (tx) => openBuild({ sql: tx } as Db, { id, orgId: ORG }, source, plan));
  const cancelling = db.transaction((tx) => cancelBuild(tx, id, "Enough."));
  await somebodyWaits(fresh);
  await opening.commit();
  await cancelling;
  expect(await stepStates(db, id)).toEqual({ a: "cancellation" });
  expect(await db.sql`SELECT FROM queue`).toHaveLength(0);
});

test("a step that ends by our fault while a cancel is written is cancelled, and not tried again", async () => {
  await using fresh = await freshDatabase();
  const id = await runningBuild(fresh.db, [{ key: "a" }]);
  const { caller, claimant } = await attendingWorker(fresh.db);
  const [{ leaseId }] = (await claimSteps(fresh.db, claimant)) as [LeasedStep];
  const cancelling = await uncommitted(fresh, (tx) => cancelBuild(tx, id, "Enough."));
  const ours = { kind: "broken", reason: "WORKER_FAULT", message: "Oh.", authorFault: false } as const;
  const finishing = finishStep(fresh.db.sql, caller, finishOf(leaseId, ours));
  await somebodyWaits(fresh);
  await cancelling.commit();
  expect((await finishing)?.decision).toMatchObject({ step: "cancellation", cause: "Enough." });
  expect(await stepStates(fresh.db, id)).toEqual({ a: "cancellation" });
});

test("a step that was queued while a cancel read it leaves nothing behind in the queue", async () => {
  await using fresh = await freshDatabase();
  const { db } = fresh;
  const id = await runningBuild(db, [{ key: "a" }]);
  const { claimant } = await attendingWorker(db);
  await claimSteps(db, claimant);
  const releasing = await uncommitted(fresh, (tx) => releaseSession({ sql: tx } as Db, claimant.sessionId, "gone"));
  const cancelling = db.transaction((tx) => cancelBuild(tx, id, "Enough."));
  await somebodyWaits(fresh);
  await releasing.commit();
  await cancelling;
  expect(await stepStates(db, id)).toEqual({ a: "cancellation" });
  expect(await db.sql`SELECT FROM queue`).toHaveLength(0);
});

test("a replica that stood still across a retry moves nothing by what it read before", async () => {
  await using fresh = await freshDatabase();
  const { db } = fresh;
  const id = await runningBuild(db, [{ key: "a" }, { key: "b", needs: ["a"] }]);
  const { caller, claimant } = await attendingWorker(db);
  const [{ leaseId, stepId }] = (await claimSteps(db, claimant)) as [LeasedStep];
  await finishStep(db.sql, caller, finishOf(leaseId, { kind: "exited", code: 1 }));
  const still = standingStill(db, "AS needs");
  const stale = advanceBuild(coreOf(still.db), id, [stepId]);
  await still.read;
  await advanceBuild(coreOf(db), id, [stepId]);
  expect(await stepStates(db, id)).toEqual({ a: "failure", b: "skip" });
  await db.transaction((tx) => retryBuild(tx, id, []));
  still.goOn();
  await stale;
  await advanceBuild(coreOf(db), id);
  expect(await stepStates(db, id)).toEqual({ a: "queued", b: "waiting" });
});

test("a replica that stood still across a retry ends nothing by how the build stood before", async () => {
  await using fresh = await freshDatabase();
  const { db } = fresh;
  const id = await runningBuild(db, [{ key: "a" }]);
  const { caller, claimant } = await attendingWorker(db);
  const runOnce = async (code: number) => {
    const [{ leaseId }] = (await claimSteps(db, claimant)) as [LeasedStep];
    await finishStep(db.sql, caller, finishOf(leaseId, { kind: "exited", code }));
  };
  await runOnce(1);
  const still = standingStill(db, "DISTINCT ON");
  const stale = advanceBuild(coreOf(still.db), id);
  await still.read;
  await advanceBuild(coreOf(db), id);
  await db.transaction((tx) => retryBuild(tx, id, []));
  await advanceBuild(coreOf(db), id);
  await runOnce(0);
  still.goOn();
  await stale;
  expect([...(await db.sql`SELECT state FROM builds`)]).toEqual([{ state: "running" }]);
  await advanceBuild(coreOf(db), id);
  expect([...(await db.sql`SELECT state FROM builds`)]).toEqual([{ state: "success" }]);
});

test("who ends a lease and who writes an artifact of it do not wait for each other", async () => {
  await using fresh = await freshDatabase();
  const { db } = fresh;
  await runningBuild(db, [{ key: "a" }, { key: "b" }]);
  const { caller, claimant } = await attendingWorker(db);
  const [first, second] = (await claimSteps(db, claimant)) as [LeasedStep, LeasedStep];
  const ends = [
    { step: first, end: () => finishStep(db.sql, caller, finishOf(first.leaseId, { kind: "exited", code: 0 })) },
    { step: second, end: () => releaseSession(db, claimant.sessionId, "gone") },
  ];
  for (const { step, end } of ends) {
    let ending: Promise<unknown> = Promise.resolve();
    await db.transaction(async (tx) => {
      await tx`SELECT id FROM attempts WHERE lease_id = ${step.leaseId} FOR NO KEY UPDATE`;
      ending = end();
      await somebodyWaits(fresh);
      await tx`
        INSERT INTO artifacts (id, org_id, build_id, step_id, attempt_id, path, size_bytes, sha256, mode, media_type, object_key)
        VALUES (${newId("art")}, ${ORG}, ${step.buildId}, ${step.stepId}, ${step.attemptId}, 'p', 0, ${Buffer.alloc(32)},
          0, 'text/plain', 'k')`;
    });
    await ending;
  }
  expect(await db.sql`SELECT FROM attempts WHERE finished_at IS NULL`).toHaveLength(0);
});
