import { randomUUID } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { HelloSchema } from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import { expect, test } from "vitest";
import { attendingWorker, ORG, runningBuild, stepStates } from "../../testing/build-fixture.ts";
import { FakeWorker, workerToken } from "../../testing/fake-worker.ts";
import { freshDatabase } from "../../testing/fresh-database.ts";
import { openWorkerPort } from "../../testing/worker-port.ts";
import { cancelBuild } from "../builds/cancel-build.ts";
import { claimSteps } from "../queue/claim-steps.ts";
import { releaseExpired } from "../queue/release-sessions.ts";
import { PROTOCOL_VERSION } from "./limits.ts";
import { openSession } from "./open-session.ts";
import { openRenewals } from "./renew-sessions.ts";

const reasonOf = (reason: unknown) =>
  String((reason as { findDetails?: unknown })?.findDetails ? (reason as Error).message : reason);

test("an offer goes to the attending worker, its finish opens the next step, and that is offered at once", async () => {
  await using fresh = await freshDatabase();
  await using port = await openWorkerPort(fresh);
  const worker = new FakeWorker(port.address, await workerToken(fresh));
  const welcome = await worker.hello();
  expect(welcome.workerName).toBe("w1");
  const build = await runningBuild(fresh.db, [{ key: "a" }, { key: "b", needs: ["a"] }]);
  port.core.hints.send("queue", "default");
  const first = await worker.hear("offer");
  expect(first.spec?.name).toBe("a");
  await worker.client.startStep({ leaseId: first.leaseId, stage: 1 });
  expect(await stepStates(fresh.db, build)).toEqual({ a: "running", b: "waiting" });
  await worker.finish(first);
  await worker.finish(await worker.hear("offer"));
  await expect
    .poll(async () => (await fresh.db.sql`SELECT state FROM builds WHERE id = ${build}`)[0]?.["state"])
    .toBe("success");
});

test("only labels that the token allows count, and what is fixed can't be changed", async () => {
  await using fresh = await freshDatabase();
  await using port = await openWorkerPort(fresh);
  const worker = new FakeWorker(port.address, await workerToken(fresh));
  await worker.hello({
    labels: [
      { key: "os", value: "linux" },
      { key: "gpu", value: "true" },
      { key: "zone", value: "b" },
      { key: "ritmo/executor", value: "docker" },
    ],
  });
  const [row] = await fresh.db.sql`SELECT labels, state FROM workers`;
  expect(row).toEqual({ labels: ["os=linux", "zone=a"], state: "online" });
});

test("what a worker reports and does not hold is unknown; what it holds and does not report is offered again", async () => {
  await using fresh = await freshDatabase();
  await using port = await openWorkerPort(fresh);
  await runningBuild(fresh.db, [{ key: "a" }]);
  const worker = new FakeWorker(port.address, await workerToken(fresh));
  await worker.hello();
  const offer = await worker.hear("offer");
  const stranger = randomUUID();
  worker.report([stranger]);
  expect((await worker.hear("renewed")).verdicts.map((v) => [v.leaseId, v.verdict.case])).toEqual([
    [stranger, "unknown"],
  ]);
  for (let i = 0; i < 3; i++) {
    await new Promise((resolve) => setTimeout(resolve, 400));
    worker.report();
    await worker.hear("renewed");
  }
  worker.report();
  expect((await worker.hear("offer")).leaseId).toBe(offer.leaseId);
  worker.report([offer.leaseId]);
  await expect
    .poll(() => worker.heard.findLast((m) => m.message.case === "renewed")?.message.value)
    .toMatchObject({
      verdicts: [{ leaseId: offer.leaseId, verdict: { case: "goOn" } }],
    });
});

test("a cancel reaches the worker as an order, and again as a verdict", async () => {
  await using fresh = await freshDatabase();
  await using port = await openWorkerPort(fresh);
  const build = await runningBuild(fresh.db, [{ key: "a" }]);
  const worker = new FakeWorker(port.address, await workerToken(fresh));
  await worker.hello();
  const offer = await worker.hear("offer");
  const { sessions } = await cancelBuild(fresh.db.sql, build, "Enough.");
  for (const session of sessions) port.core.hints.send("session", session);
  expect(await worker.hear("stop")).toMatchObject({ leaseId: offer.leaseId, reason: "Enough." });
  worker.report([offer.leaseId]);
  expect((await worker.hear("renewed")).verdicts[0]?.verdict.case).toBe("stop");
});

test("a session resumes on a newer stream with its key, and the older stream is superseded", async () => {
  await using fresh = await freshDatabase();
  await using port = await openWorkerPort(fresh);
  await runningBuild(fresh.db, [{ key: "a" }]);
  const token = await workerToken(fresh);
  const older = new FakeWorker(port.address, token);
  const { sessionId, resumeKey } = await older.hello();
  const offer = await older.hear("offer");
  const newer = new FakeWorker(port.address, token);
  const held = [{ leaseId: offer.leaseId }];
  const welcome = await newer.hello({ sessionId, resumeKey, held });
  expect(welcome.sessionId).toBe(sessionId);
  expect(welcome.verdicts.map((v) => v.verdict.case)).toEqual(["goOn"]);
  expect(reasonOf(await older.ended)).toMatch(/newer stream/);
  const thief = new FakeWorker(port.address, await workerToken(fresh, "w2"));
  void thief.hello({ sessionId, resumeKey }).catch(() => {});
  expect(reasonOf(await thief.ended)).toMatch(/is over/);
});

test("a process without a journal begins anew, and what the one before held is queued again at once", async () => {
  await using fresh = await freshDatabase();
  await using port = await openWorkerPort(fresh);
  const build = await runningBuild(fresh.db, [{ key: "a" }]);
  const token = await workerToken(fresh);
  const older = new FakeWorker(port.address, token);
  await older.hello();
  const first = await older.hear("offer");
  const newer = new FakeWorker(port.address, token);
  await newer.hello();
  const second = await newer.hear("offer");
  expect([first.attempt, second.attempt]).toEqual([1, 2]);
  // The older process must not come back for the place: it would end the newer one's session in turn.
  expect(reasonOf(await older.ended)).toMatch(/another process took the place of w1/);
  await expect(older.finish(first)).rejects.toThrow(/is over/);
  await newer.finish(second);
  expect(await stepStates(fresh.db, build)).toEqual({ a: "success" });
});

test("of processes that begin at once with one token one stays", async () => {
  await using fresh = await freshDatabase();
  await using port = await openWorkerPort(fresh);
  const { caller } = await attendingWorker(fresh.db);
  const hello = create(HelloSchema, { protocolVersion: PROTOCOL_VERSION, slots: 2 });
  let opening: Promise<unknown> = Promise.resolve();
  await fresh.db.transaction(async (tx) => {
    await tx`SELECT FROM workers WHERE id = ${caller.workerId} FOR NO KEY UPDATE`;
    opening = Promise.all([1, 2, 3].map(() => openSession(port.core, caller, hello)));
    const waiting = () => fresh.db.sql`
      SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`;
    await expect.poll(async () => (await waiting()).length).toBe(3);
  });
  await opening;
  expect(await fresh.db.sql`SELECT FROM sessions WHERE expires_at > '-infinity'`).toHaveLength(1);
});

test("two streams of a session that report in the same moment: only the newer one is heard", async () => {
  await using fresh = await freshDatabase();
  await using port = await openWorkerPort(fresh);
  const { claimant } = await attendingWorker(fresh.db);
  await fresh.db.sql`UPDATE sessions SET stream = 2 WHERE id = ${claimant.sessionId}`;
  const renewals = openRenewals(port.core);
  const both = [1, 2, 0].map((stream) => renewals.renew(claimant.sessionId, stream, false));
  expect((await Promise.all(both)).map((renewal) => renewal.kind)).toEqual(["superseded", "renewed", "renewed"]);
});

test("a worker that falls silent loses its lease by the database's clock, and its next report is told so", async () => {
  await using fresh = await freshDatabase();
  await using port = await openWorkerPort(fresh, 2);
  const build = await runningBuild(fresh.db, [{ key: "a" }]);
  const worker = new FakeWorker(port.address, await workerToken(fresh));
  await worker.hello();
  await worker.hear("offer");
  await expect.poll(() => releaseExpired(fresh.db, 0), { timeout: 10_000 }).toHaveLength(1);
  expect(await stepStates(fresh.db, build)).toEqual({ a: "queued" });
  worker.report();
  expect(reasonOf(await worker.ended)).toMatch(/is over/);
});

test("Sync renews and offers as the stream does, for networks that break streams", async () => {
  await using fresh = await freshDatabase();
  await using port = await openWorkerPort(fresh);
  const worker = new FakeWorker(port.address, await workerToken(fresh));
  const { sessionId, resumeKey } = await worker.hello();
  worker.out.end();
  await worker.ended;
  await runningBuild(fresh.db, [{ key: "a" }]);
  const report = { seq: 1n, capacity: { freeSlots: 2, freeCpuMillis: 1000, freeMemoryBytes: 1n } };
  const answer = await worker.client.sync({ sessionId, resumeKey, report });
  expect(answer.offers.map((offer) => offer.spec?.name)).toEqual(["a"]);
  const again = await worker.client.sync({ sessionId, resumeKey, report });
  expect(again.offers.map((offer) => offer.leaseId)).toEqual(answer.offers.map((offer) => offer.leaseId));
  await expect(worker.client.sync({ sessionId, resumeKey: new Uint8Array(32), report })).rejects.toThrow(/is over/);
});

test("a replica that stops tells its workers to move and gives them time to", async () => {
  await using fresh = await freshDatabase();
  await using port = await openWorkerPort(fresh);
  const worker = new FakeWorker(port.address, await workerToken(fresh));
  await worker.hello();
  port.stopping.abort();
  await worker.hear("move");
  worker.out.end();
  expect(await worker.ended).toBeUndefined();
});

test("anything before Hello, an old protocol and a second Hello are refused by name", async () => {
  await using fresh = await freshDatabase();
  await using port = await openWorkerPort(fresh);
  const token = await workerToken(fresh);
  const early = new FakeWorker(port.address, token);
  early.report();
  const stream = early.client.attend(early.out)[Symbol.asyncIterator]();
  await expect(stream.next()).rejects.toThrow(/must be Hello/);
  const old = new FakeWorker(port.address, token);
  void old.hello({ protocolVersion: 1 }).catch(() => {});
  expect(reasonOf(await old.ended)).toMatch(/upgrade the worker/);
  const good = new FakeWorker(port.address, token);
  await good.hello();
});

test("a claim whose answer was lost is found by its session, and what it leased is offered at the next report", async () => {
  await using fresh = await freshDatabase();
  await using port = await openWorkerPort(fresh);
  const worker = new FakeWorker(port.address, await workerToken(fresh));
  const { sessionId } = await worker.hello();
  // Everything that a replica does whose connection broke after the claim was committed.
  const build = await runningBuild(fresh.db, [{ key: "a", requires: ["zone=a"] }]);
  const [row] = await fresh.db.sql<{ id: string }[]>`SELECT worker_id AS id FROM sessions WHERE id = ${sessionId}`;
  const room = { freeSlots: 1, freeCpuMillis: 1, freeMemoryBytes: 1 };
  const claimant = { orgId: ORG, sessionId, workerId: row?.id ?? "", pool: "default", labels: ["zone=a"], ...room };
  const [lost] = await claimSteps(fresh.db, claimant);
  expect(lost ? await stepStates(fresh.db, build) : lost).toEqual({ a: "leased" });
  worker.report();
  expect((await worker.hear("offer")).leaseId).toBe(lost?.leaseId);
});
