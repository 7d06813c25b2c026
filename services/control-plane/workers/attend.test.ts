import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type Client, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import {
  AttendRequestSchema,
  type AttendResponse,
  HelloSchema,
  type Offer,
  WorkerService,
} from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import { expect, test } from "vitest";
import { openLogger } from "../../process/logger.ts";
import { pushable } from "../../process/pushable.ts";
import { readSettings } from "../../process/read-settings.ts";
import { ORG, runningBuild, stepStates } from "../../testing/build-fixture.ts";
import { type FreshDatabase, freshDatabase } from "../../testing/fresh-database.ts";
import { cancelBuild } from "../builds/cancel-build.ts";
import { CONTROL_PLANE_SETTINGS } from "../config.ts";
import type { Core } from "../core.ts";
import { openWorkerServer } from "../edge/worker-server.ts";
import { createWorker } from "../fleet/create-worker.ts";
import { workerLookup } from "../identity/authenticate-worker.ts";
import { openMetrics } from "../metrics.ts";
import { releaseExpired } from "../queue/release-sessions.ts";
import { workerService } from "../rpc/worker-service.ts";
import { openFileBlobs } from "../store/file-blobs.ts";
import { openHints } from "../store/hints.ts";
import { startDispatching } from "./dispatch.ts";
import { PROTOCOL_VERSION } from "./limits.ts";
import { openRenewals } from "./renew-sessions.ts";

interface Port extends AsyncDisposable {
  core: Core;
  address: string;
  stopping: AbortController;
}

/** A real worker port of one replica over the database. */
async function openPort(fresh: FreshDatabase, leaseSeconds = 20): Promise<Port> {
  const logger = openLogger("test", "silent");
  const folder = mkdtempSync(join(tmpdir(), "ritmo-attend-"));
  const stopping = new AbortController();
  const { values } = readSettings(CONTROL_PLANE_SETTINGS, { RITMO_LEASE_SECONDS: String(leaseSeconds) });
  const core: Core = {
    config: values,
    url: "http://ritmo.test",
    db: fresh.db,
    hints: openHints(fresh.url, logger),
    blobs: openFileBlobs(folder),
    metrics: openMetrics({ processMetrics: false }),
    logger,
    stopping: stopping.signal,
  };
  const dispatcher = startDispatching(core);
  const attendance = { core, dispatcher, renewals: openRenewals(core) };
  const server = await openWorkerServer({
    listen: { host: "127.0.0.1", port: 0 },
    lookup: workerLookup(fresh),
    logger,
    routes: (router) => void router.service(WorkerService, workerService(attendance)),
  });
  return {
    core,
    address: server.address,
    stopping,
    async [Symbol.asyncDispose]() {
      stopping.abort();
      await server.stop(0);
      await dispatcher.done;
      await core.hints.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** A peer that says what it is told to say, over a real connection. */
class FakeWorker {
  readonly client: Client<typeof WorkerService>;
  readonly heard: AttendResponse[] = [];
  readonly out = pushable<MessageInitShape<typeof AttendRequestSchema>>();
  ended: Promise<unknown> = Promise.resolve();
  private seq = 0n;

  constructor(address: string, token: string) {
    this.client = createClient(
      WorkerService,
      createGrpcTransport({
        baseUrl: `http://${address}`,
        interceptors: [
          (next) => (request) => {
            request.header.set("authorization", `Bearer ${token}`);
            return next(request);
          },
        ],
      }),
    );
  }

  async hello(more: MessageInitShape<typeof HelloSchema> = {}) {
    const stream = this.client.attend(this.out);
    this.ended = (async () => {
      try {
        for await (const message of stream) this.heard.push(message);
        return undefined;
      } catch (reason) {
        return reason;
      }
    })();
    const value = create(HelloSchema, { protocolVersion: PROTOCOL_VERSION, slots: 2, executors: ["process"], ...more });
    this.out.push({ message: { case: "hello", value } });
    return await this.hear("welcome");
  }

  report(leases: string[] = [], draining = false) {
    this.seq++;
    const held = leases.map((leaseId) => ({ leaseId, stage: { case: "running" as const, value: {} } }));
    this.out.push(
      create(AttendRequestSchema, { message: { case: "report", value: { seq: this.seq, held, draining } } }),
    );
    return this.seq;
  }

  /** The first message of that kind that was not heard before. */
  async hear<K extends AttendResponse["message"]["case"]>(
    kind: K,
  ): Promise<Extract<AttendResponse["message"], { case: K }>["value"]> {
    await expect.poll(() => this.heard.some((m) => m.message.case === kind), { timeout: 10_000 }).toBe(true);
    const i = this.heard.findIndex((m) => m.message.case === kind);
    return this.heard.splice(i, 1)[0]?.message.value as never;
  }

  finish(offer: Offer, code = 0) {
    return this.client.finishStep({
      leaseId: offer.leaseId,
      resultId: randomUUID(),
      end: { case: "exited", value: { code } },
      logSha256: new Uint8Array(32),
    });
  }
}

async function workerToken({ db }: FreshDatabase, name = "w1") {
  const worker = { name, pool: "default", fixedLabels: ["zone=a"], allowedLabelKeys: ["os"] };
  return (await createWorker(db.sql, ORG, worker)).token;
}

const reasonOf = (reason: unknown) =>
  String((reason as { findDetails?: unknown })?.findDetails ? (reason as Error).message : reason);

test("an offer goes to the attending worker, its finish opens the next step, and that is offered at once", async () => {
  await using fresh = await freshDatabase();
  await using port = await openPort(fresh);
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
  await using port = await openPort(fresh);
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
  await using port = await openPort(fresh);
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
  await using port = await openPort(fresh);
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
  await using port = await openPort(fresh);
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
  await using port = await openPort(fresh);
  const build = await runningBuild(fresh.db, [{ key: "a" }]);
  const token = await workerToken(fresh);
  const older = new FakeWorker(port.address, token);
  await older.hello();
  const first = await older.hear("offer");
  const newer = new FakeWorker(port.address, token);
  await newer.hello();
  const second = await newer.hear("offer");
  expect([first.attempt, second.attempt]).toEqual([1, 2]);
  await expect(older.finish(first)).rejects.toThrow(/is over/);
  await newer.finish(second);
  expect(await stepStates(fresh.db, build)).toEqual({ a: "success" });
});

test("a worker that falls silent loses its lease by the database's clock, and its next report is told so", async () => {
  await using fresh = await freshDatabase();
  await using port = await openPort(fresh, 2);
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
  await using port = await openPort(fresh);
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
  await using port = await openPort(fresh);
  const worker = new FakeWorker(port.address, await workerToken(fresh));
  await worker.hello();
  port.stopping.abort();
  await worker.hear("move");
  worker.out.end();
  expect(await worker.ended).toBeUndefined();
});

test("anything before Hello, an old protocol and a second Hello are refused by name", async () => {
  await using fresh = await freshDatabase();
  await using port = await openPort(fresh);
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
