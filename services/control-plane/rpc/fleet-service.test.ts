import { randomUUID } from "node:crypto";
import type { Client } from "@connectrpc/connect";
import { FleetService, WorkerState } from "@ritmo/contract/ritmo/fleet/v1/fleet_pb.js";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openLogger } from "../../process/logger.ts";
import { callHandlers, refusalOf } from "../../testing/call-handlers.ts";
import { type FreshDatabase, freshDatabase } from "../../testing/fresh-database.ts";
import {
  plantAttempt,
  plantBuild,
  plantJob,
  plantOrganization,
  plantStep,
  plantWorker,
} from "../../testing/plant-rows.ts";
import { hashToken } from "../identity/token-values.ts";
import { releaseExpired } from "../queue/release-sessions.ts";
import { type Hints, openHints } from "../store/hints.ts";
import { fleetService } from "./fleet-service.ts";

let fresh: FreshDatabase;
let hints: Hints;
let fleet: Client<typeof FleetService>;

beforeEach(async () => {
  fresh = await freshDatabase();
  hints = openHints(fresh.url, openLogger("test", "silent"));
  fleet = as("org_default");
});
afterEach(async () => {
  await hints.close();
  await fresh[Symbol.asyncDispose]();
});

const as = (orgId: string) => callHandlers(FleetService, fleetService({ db: fresh.db, hints }), { orgId });
const id = () => ({ requestId: randomUUID() });
/** Resolves to how often a session's stream was told to look. */
function hintsFor(sessionId: string) {
  const seen = { count: 0 };
  hints.on("session", sessionId, () => {
    seen.count++;
  });
  return seen;
}

test("a worker is made with a token that is answered once and kept only as its hash", async () => {
  const request = {
    ...id(),
    name: "w2",
    labels: [
      { key: "gpu", value: "true" },
      { key: "arch", value: "arm64" },
    ],
    allowedLabelKeys: ["zone", "zone"],
  };
  const first = await fleet.createWorker(request);
  expect(first.token).toMatch(/^rw_[\w-]{43}$/);
  expect(first.worker).toMatchObject({ name: "w2", pool: "default", state: WorkerState.NEW, slots: 0 });
  expect(first.worker?.labels.map(({ key, value }) => `${key}=${value}`)).toEqual(["arch=arm64", "gpu=true"]);
  const again = await fleet.createWorker(request);
  expect(again).toMatchObject({ token: "", worker: { id: first.worker?.id } });
  const [row] = await fresh.db.sql`SELECT token_hash, allowed_label_keys FROM workers`;
  expect(row).toEqual({ token_hash: hashToken(first.token), allowed_label_keys: ["zone"] });
  const kept = await fresh.db
    .sql`SELECT FROM requests WHERE position(${Buffer.from(first.token)}::bytea IN response) > 0`;
  expect(kept).toHaveLength(0);
});

test("a name is one worker's", async () => {
  await fleet.createWorker({ ...id(), name: "w2" });
  expect(await refusalOf(fleet.createWorker({ ...id(), name: "w2" }))).toMatchObject({
    code: "AlreadyExists",
    reason: "WORKER_EXISTS",
  });
  await fleet.deleteWorker({ ...id(), name: "w2" });
  expect((await fleet.createWorker({ ...id(), name: "w2" })).token).not.toBe("");
});

test.each<[string, object, string]>([
  ["no name", { name: "" }, "name:"],
  ["a name with a slash", { name: "a/b" }, "name:"],
  ["a pool with a capital", { name: "w", pool: "Big" }, "pool:"],
  ["a label without a value", { name: "w", labels: [{ key: "gpu", value: "" }] }, "labels[0].value:"],
  ["a label of Ritmo's own", { name: "w", labels: [{ key: "ritmo/executor", value: "docker" }] }, "labels[0].key:"],
  ["a label with a blank", { name: "w", labels: [{ key: "a b", value: "c" }] }, "labels[0].key:"],
  ["a label with a NUL", { name: "w", labels: [{ key: "a", value: "\0" }] }, "labels[0].value:"],
  [
    "a label twice",
    {
      name: "w",
      labels: [
        { key: "a", value: "1" },
        { key: "a", value: "2" },
      ],
    },
    "labels[1].key: a is given twice",
  ],
  ["a key of Ritmo's own allowed", { name: "w", allowedLabelKeys: ["*", "ritmo/executor"] }, "allowed_label_keys[1]:"],
  ["a hundred and one keys", { name: "w", allowedLabelKeys: Array(101).fill("a") }, "allowed_label_keys:"],
])("%s is refused by its field", async (_, request, message) => {
  const refused = await refusalOf(fleet.createWorker({ ...id(), ...request }));
  expect(refused).toMatchObject({ code: "InvalidArgument", message: expect.stringContaining(message) });
});

test("a drain is told to the worker's stream and shown with its reason, until it is ended", async () => {
  const worker = await plantWorker(fresh.db.sql, "local");
  const told = hintsFor(worker.sessionId);
  const drained = await fleet.drainWorker({ ...id(), name: "local", reason: "kernel update" });
  expect(drained.worker).toMatchObject({ state: WorkerState.DRAINING, drainReason: "kernel update" });
  expect(told.count).toBe(1);
  const again = await fleet.drainWorker({ ...id(), name: worker.id, reason: "new disk" });
  expect(again.worker?.drainReason).toBe("new disk");
  const resumed = await fleet.resumeWorker({ ...id(), name: "local" });
  expect(resumed.worker).toMatchObject({ state: WorkerState.ONLINE, drainReason: "" });
  expect(told.count).toBe(3);
  const kinds = await fresh.db
    .sql`SELECT payload ->> 'state' AS state FROM events WHERE kind = 'worker' ORDER BY xid, seq`;
  expect(kinds.map((row) => row["state"])).toEqual(["online", "draining", "draining", "online"]);
});

test("an offline worker can be drained for when it comes back; its own drain is not ended by others", async () => {
  const { sql } = fresh.db;
  await plantWorker(sql, "away", { state: "offline" });
  await fleet.drainWorker({ ...id(), name: "away", reason: "" });
  expect(await sql`SELECT draining, state FROM workers`).toEqual([{ draining: true, state: "offline" }]);
  expect((await fleet.resumeWorker({ ...id(), name: "away" })).worker?.state).toBe(WorkerState.OFFLINE);
  await plantWorker(sql, "leaving", { state: "draining" });
  expect((await fleet.resumeWorker({ ...id(), name: "leaving" })).worker?.state).toBe(WorkerState.DRAINING);
  expect(await refusalOf(fleet.drainWorker({ ...id(), name: "away", reason: "x".repeat(501) }))).toMatchObject({
    code: "InvalidArgument",
  });
  expect(await refusalOf(fleet.drainWorker({ ...id(), name: "away", reason: "a\0" }))).toMatchObject({
    code: "InvalidArgument",
  });
});

test("a deleted worker's token is gone, its session is over, and what it ran is let go by the next sweep", async () => {
  const { sql } = fresh.db;
  const worker = await plantWorker(sql, "local");
  const told = hintsFor(worker.sessionId);
  await sql`UPDATE workers SET token_hash = 'x'`;
  const build = await plantBuild(sql, await plantJob(sql, "hello"));
  const step = await plantStep(sql, build, { state: "running", sessionId: worker.sessionId });
  await plantAttempt(sql, step, worker);
  expect((await fleet.getWorker({ name: "local" })).worker).toMatchObject({ busySlots: 1, steps: ["hello#1/test"] });
  expect(await releaseExpired(fresh.db, 0)).toEqual([]);
  await fleet.deleteWorker({ ...id(), name: "local" });
  expect(told.count).toBe(1);
  expect(await sql`SELECT token_hash FROM workers`).toEqual([{ token_hash: null }]);
  expect((await releaseExpired(fresh.db, 0)).map((released) => [released.stepId, released.state])).toEqual([
    [step, "queued"],
  ]);
  expect(await refusalOf(fleet.getWorker({ name: "local" }))).toMatchObject({
    code: "NotFound",
    reason: "WORKER_NOT_FOUND",
  });
  expect(await refusalOf(fleet.deleteWorker({ ...id(), name: worker.id }))).toMatchObject({ code: "NotFound" });
});

test("lists go by name, with filters, page by page", async () => {
  const { sql } = fresh.db;
  await plantWorker(sql, "c", { pool: "big", machine: { cpus: 8, memory_bytes: 2 ** 34 } });
  await plantWorker(sql, "a", { state: "offline" });
  await plantWorker(sql, "b");
  await fleet.createWorker({ ...id(), name: "d" });
  const first = await fleet.listWorkers({ pageSize: 3 });
  expect(first.workers.map((worker) => worker.name)).toEqual(["a", "b", "c"]);
  expect(first.workers[2]).toMatchObject({ cpus: 8, memoryBytes: 2n ** 34n });
  const second = await fleet.listWorkers({ pageSize: 3, pageToken: first.nextPageToken });
  expect([second.workers.map((worker) => worker.name), second.nextPageToken]).toEqual([["d"], ""]);
  const named = async (request: object) => (await fleet.listWorkers(request)).workers.map((worker) => worker.name);
  expect(await named({ states: [WorkerState.ONLINE, WorkerState.NEW] })).toEqual(["b", "c", "d"]);
  expect(await named({ pool: "big" })).toEqual(["c"]);
  expect(await refusalOf(fleet.listWorkers({ pool: "big", pageToken: first.nextPageToken }))).toMatchObject({
    reason: "PAGE_TOKEN_INVALID",
  });
  for (const request of [{ states: [99] }, { states: [0] }, { pool: "\0" }, { pageSize: 501 }])
    expect(await refusalOf(fleet.listWorkers(request))).toMatchObject({ code: "InvalidArgument" });
});

test("another organization has workers of its own", async () => {
  await plantWorker(fresh.db.sql, "local");
  const stranger = as(await plantOrganization(fresh.db.sql, "stranger"));
  expect((await stranger.listWorkers({})).workers).toEqual([]);
  for (const call of [
    () => stranger.getWorker({ name: "local" }),
    () => stranger.drainWorker({ ...id(), name: "local" }),
    () => stranger.resumeWorker({ ...id(), name: "local" }),
    () => stranger.deleteWorker({ ...id(), name: "local" }),
  ])
    expect(await refusalOf(call())).toMatchObject({ code: "NotFound" });
});
