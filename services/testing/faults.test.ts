import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BuildState, StepState } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import { expect, test, vi } from "vitest";
import { migrate } from "../control-plane/store/migrate.ts";
import { openDatabase } from "../control-plane/store/open-database.ts";
import { startPostgres } from "../postgres/start-postgres.ts";
import { openLogger } from "../process/logger.ts";
import { sleep } from "../process/wait.ts";
import { freshDatabase } from "./fresh-database.ts";
import type { RunningProcess } from "./run-process.ts";
import { type ControlPlane, type Ritmo, startRitmo } from "./start-ritmo.ts";
import { attemptsOf, logOf, openWitness } from "./witness.ts";

// Parts are killed or frozen in the middle of a build, and the step is its own witness.

// For a machine that has much else to do.
vi.setConfig({ testTimeout: 120_000 });

const WAIT = { timeout: 20_000, interval: 50 };

/** The control plane that a worker said it came in at, and the others. */
async function attended(ritmo: Ritmo, worker: RunningProcess): Promise<[ControlPlane, ControlPlane]> {
  const { controlPlane } = await worker.said("ready");
  const at = ritmo.controlPlanes.find((one) => one.workerAddress === controlPlane);
  const other = ritmo.controlPlanes.find((one) => one !== at);
  if (!at || !other) throw new Error(`no two control planes, one of them at ${controlPlane}`);
  return [at, other];
}

/** How far the log of the one attempt is durable, as any control plane that is alive says. */
async function durable(ritmo: Ritmo, build: string): Promise<bigint> {
  return (await attemptsOf(ritmo, `${build}/count`))[0]?.logBytes ?? 0n;
}

test("one of two control planes is killed, then, when it is back, the other: the same attempt goes on, and not a byte is missing", async () => {
  await using fresh = await freshDatabase();
  using witness = openWitness();
  await using ritmo = await startRitmo({ databaseUrl: fresh.url, db: fresh.db, controlPlanes: 2 });
  const worker = await ritmo.startWorker("w1");
  await ritmo.createJob("count", "", witness.pipeline);
  const build = await ritmo.run("count");
  await witness.untilUnderWay();
  const [first, second] = await attended(ritmo, worker);
  await first.signal("SIGKILL");
  await witness.untilUnderWay();
  const address = (url: string) => url.replace("http://", "");
  await ritmo.startControlPlane({ RITMO_LISTEN: address(first.url), RITMO_WORKER_LISTEN: first.workerAddress });
  // What is durable grows only through the second one, which is the next to go.
  const before = await durable(ritmo, build);
  await vi.waitFor(async () => expect(await durable(ritmo, build)).toBeGreaterThan(before), WAIT);
  await second.signal("SIGKILL");
  const between = await durable(ritmo, build);
  await vi.waitFor(async () => expect(await durable(ritmo, build)).toBeGreaterThan(between), WAIT);
  witness.letEnd();
  expect((await ritmo.untilOver(build)).state).toBe(BuildState.SUCCESS);
  const attempts = await attemptsOf(ritmo, `${build}/count`);
  expect(attempts.map((attempt) => attempt.state)).toEqual([StepState.SUCCESS]);
  expect(await logOf(ritmo, `${build}/count@1`)).toBe(witness.wrote(1));
  expect(worker.child.exitCode).toBeNull();
});

test("a control plane is told to stop: its worker moves, it ends in order, and nobody notices", async () => {
  await using fresh = await freshDatabase();
  using witness = openWitness();
  await using ritmo = await startRitmo({ databaseUrl: fresh.url, db: fresh.db, controlPlanes: 2 });
  const worker = await ritmo.startWorker("w1");
  await ritmo.createJob("count", "", witness.pipeline);
  const build = await ritmo.run("count");
  await witness.untilUnderWay();
  const [at, other] = await attended(ritmo, worker);
  const moved = worker.said("moved to another control plane");
  await at.signal("SIGTERM");
  expect(await at.ended).toBe(0);
  expect((await moved)["to"]).toBe(other.workerAddress);
  const before = await durable(ritmo, build);
  await vi.waitFor(async () => expect(await durable(ritmo, build)).toBeGreaterThan(before), WAIT);
  witness.letEnd();
  expect((await ritmo.untilOver(build)).state).toBe(BuildState.SUCCESS);
  expect(await attemptsOf(ritmo, `${build}/count`)).toMatchObject([{ state: StepState.SUCCESS, number: 1 }]);
  expect(await logOf(ritmo, `${build}/count@1`)).toBe(witness.wrote(1));
});

test("the worker is killed in the middle and started again: the step is tried again, and both logs are what was written", async () => {
  await using fresh = await freshDatabase();
  using witness = openWitness();
  await using ritmo = await startRitmo({ databaseUrl: fresh.url, db: fresh.db });
  const worker = await ritmo.startWorker("w1");
  await ritmo.createJob("count", "", witness.pipeline);
  const build = await ritmo.run("count");
  await witness.untilUnderWay();
  await worker.signal("SIGKILL");
  await ritmo.startWorker("w1");
  await witness.untilUnderWay(2);
  // The step that was left behind is gone: its witness does not grow beside the new one's.
  const left = witness.wrote(1);
  await witness.untilUnderWay(2);
  expect(witness.wrote(1)).toBe(left);
  witness.letEnd();
  expect((await ritmo.untilOver(build)).state).toBe(BuildState.SUCCESS);
  const attempts = await attemptsOf(ritmo, `${build}/count`);
  expect(attempts.map((attempt) => [attempt.state, attempt.reason])).toEqual([
    [StepState.ERROR, "WORKER_RESTARTED"],
    [StepState.SUCCESS, ""],
  ]);
  expect(await logOf(ritmo, `${build}/count@2`)).toBe(witness.wrote(2));
  const first = await logOf(ritmo, `${build}/count@1`);
  expect(first.length).toBeGreaterThan(0);
  expect(left.startsWith(first)).toBe(true);
});

const LEASE_SECONDS = 2;

test("PostgreSQL is killed and stays away for longer than a lease: the same attempt goes on, and not a byte is missing", async () => {
  const folder = mkdtempSync(join(tmpdir(), "ritmo-postgres-"));
  chmodSync(folder, 0o755);
  let server = await startPostgres({ folder });
  const { url, port } = server;
  const db = openDatabase({ url });
  try {
    await migrate(db, openLogger("test", "silent"));
    using witness = openWitness();
    await using ritmo = await startRitmo({ databaseUrl: url, db, leaseSeconds: LEASE_SECONDS });
    await ritmo.startWorker("w1");
    await ritmo.createJob("count", "", witness.pipeline);
    const build = await ritmo.run("count");
    await witness.untilUnderWay();
    process.kill(server.pid, "SIGKILL");
    await server.ended;
    // The fault itself is a length of time: nobody can renew for two leases.
    await sleep(2 * LEASE_SECONDS * 1000);
    server = await startPostgres({ folder, port });
    const before = await vi.waitFor(() => durable(ritmo, build), WAIT);
    await vi.waitFor(async () => expect(await durable(ritmo, build)).toBeGreaterThan(before), WAIT);
    witness.letEnd();
    expect((await ritmo.untilOver(build)).state).toBe(BuildState.SUCCESS);
    expect(await attemptsOf(ritmo, `${build}/count`)).toMatchObject([{ state: StepState.SUCCESS, number: 1 }]);
    expect(await logOf(ritmo, `${build}/count@1`)).toBe(witness.wrote(1));
    expect(witness.wrote(2)).toBe("");
    // The next build runs as if nothing had been.
    expect((await ritmo.untilOver(await ritmo.run("count"))).state).toBe(BuildState.SUCCESS);
    expect(ritmo.controlPlanes[0]?.child.exitCode).toBeNull();
  } finally {
    await db.close();
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  }
});

test("a worker that was frozen beyond its lease has everything it sends refused, and ends its step", async () => {
  await using fresh = await freshDatabase();
  using witness = openWitness();
  await using ritmo = await startRitmo({ databaseUrl: fresh.url, db: fresh.db, leaseSeconds: LEASE_SECONDS });
  const frozen = await ritmo.startWorker("w1");
  await ritmo.createJob("count", "", witness.pipeline);
  const build = await ritmo.run("count");
  await witness.untilUnderWay();
  await ritmo.startWorker("w2");
  await frozen.signal("SIGSTOP");
  await witness.untilUnderWay(2);
  const kept = await durable(ritmo, build);
  await frozen.signal("SIGCONT");
  // It ends the step that it has no right to any more: the witness of the first attempt stops growing.
  await vi.waitFor(() => expect(frozen.lines.join("\n")).toMatch(/lease|LEASE_LOST/i), WAIT);
  await vi.waitFor(async () => {
    const stood = witness.wrote(1);
    await witness.untilUnderWay(2);
    expect(witness.wrote(1)).toBe(stood);
  }, WAIT);
  witness.letEnd();
  expect((await ritmo.untilOver(build)).state).toBe(BuildState.SUCCESS);
  const attempts = await attemptsOf(ritmo, `${build}/count`);
  expect(attempts.map((a) => [a.state, a.reason, a.worker])).toEqual([
    [StepState.ERROR, "WORKER_LOST", "w1"],
    [StepState.SUCCESS, "", "w2"],
  ]);
  expect(attempts[0]?.logBytes).toBe(kept);
  expect(witness.wrote(1).startsWith(await logOf(ritmo, `${build}/count@1`))).toBe(true);
  expect(await logOf(ritmo, `${build}/count@2`)).toBe(witness.wrote(2));
  expect(frozen.child.exitCode).toBeNull();
});
