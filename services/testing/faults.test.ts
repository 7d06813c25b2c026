import { chmodSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Attempt, BuildService, BuildState, StepState } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import { LogService } from "@ritmo/contract/ritmo/log/v1/log_pb.js";
import { expect, test, vi } from "vitest";
import { migrate } from "../control-plane/store/migrate.ts";
import { openDatabase } from "../control-plane/store/open-database.ts";
import { startPostgres } from "../postgres/start-postgres.ts";
import { openLogger } from "../process/logger.ts";
import { freshDatabase } from "./fresh-database.ts";
import { type Ritmo, startRitmo } from "./start-ritmo.ts";

// Parts are killed or frozen in the middle of a build. The step is its own witness: it writes every line to its log
// and to a file of its attempt, so that what Ritmo kept can be compared with what was written.

const LINES = 120;

function witnessPipeline(folder: string): string {
  return `version: 1
steps:
  count:
    checkout: false
    env: { WITNESS: "${folder}" }
    run: |
      i=0
      while [ $i -lt ${LINES} ]; do
        i=$((i + 1))
        echo "attempt $RITMO_ATTEMPT line $i" >> "$WITNESS/$RITMO_ATTEMPT"
        echo "attempt $RITMO_ATTEMPT line $i"
        sleep 0.03
      done
`;
}

function witnessed(folder: string, attempt: number): string {
  try {
    return readFileSync(join(folder, String(attempt)), "utf8");
  } catch {
    return "";
  }
}

/** Resolves when the attempt has written some lines, and is far from its end. */
async function untilUnderWay(folder: string, attempt = 1): Promise<void> {
  await vi.waitFor(() => expect(witnessed(folder, attempt).split("\n").length).toBeGreaterThan(10), {
    timeout: 20_000,
    interval: 20,
  });
}

async function attemptsOf(ritmo: Ritmo, build: string): Promise<Attempt[]> {
  return (await ritmo.client(BuildService).listAttempts({ step: `${build}/count` })).attempts;
}

async function logOf(ritmo: Ritmo, attempt: string): Promise<string> {
  const parts: Uint8Array[] = [];
  for await (const message of ritmo.client(LogService).followLog({ name: attempt })) parts.push(message.data);
  return Buffer.concat(parts).toString();
}

function witnessFolder(): { path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), "ritmo-witness-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

test("one of two control planes is killed in the middle: the same attempt goes on, and not a byte is missing", async () => {
  await using fresh = await freshDatabase();
  using witness = witnessFolder();
  await using ritmo = await startRitmo({ databaseUrl: fresh.url, db: fresh.db, controlPlanes: 2 });
  const worker = await ritmo.startWorker("w1");
  await ritmo.createJob("count", "", witnessPipeline(witness.path));
  const build = await ritmo.run("count");
  await untilUnderWay(witness.path);
  // Whichever of the two the worker is connected to: after both have been away in turn it has lost its stream once.
  const [first, second] = ritmo.controlPlanes;
  await first?.signal("SIGKILL");
  const over = await ritmo.untilOver(build);
  expect(over.state).toBe(BuildState.SUCCESS);
  const attempts = await attemptsOf(ritmo, build);
  expect(attempts.map((attempt) => attempt.state)).toEqual([StepState.SUCCESS]);
  expect(await logOf(ritmo, `${build}/count@1`)).toBe(witnessed(witness.path, 1));
  expect(worker.child.exitCode).toBeNull();
  expect(second?.child.exitCode).toBeNull();
});

test("the worker is killed in the middle and started again: the step is tried again, and both logs are what was written", async () => {
  await using fresh = await freshDatabase();
  using witness = witnessFolder();
  await using ritmo = await startRitmo({ databaseUrl: fresh.url, db: fresh.db });
  const worker = await ritmo.startWorker("w1");
  await ritmo.createJob("count", "", witnessPipeline(witness.path));
  const build = await ritmo.run("count");
  await untilUnderWay(witness.path);
  await worker.signal("SIGKILL");
  await ritmo.startWorker("w1");
  const over = await ritmo.untilOver(build);
  expect(over.state).toBe(BuildState.SUCCESS);
  const attempts = await attemptsOf(ritmo, build);
  expect(attempts.map((attempt) => [attempt.state, attempt.reason])).toEqual([
    [StepState.ERROR, "WORKER_RESTARTED"],
    [StepState.SUCCESS, ""],
  ]);
  expect(await logOf(ritmo, `${build}/count@2`)).toBe(witnessed(witness.path, 2));
  const first = await logOf(ritmo, `${build}/count@1`);
  expect(first.length).toBeGreaterThan(0);
  expect(witnessed(witness.path, 1).startsWith(first)).toBe(true);
  // The step that was left behind is gone: its witness has stopped growing.
  expect(witnessed(witness.path, 1).split("\n").length).toBeLessThan(LINES);
});

test("PostgreSQL is killed in the middle: the same attempt goes on, and not a byte is missing", async () => {
  const folder = mkdtempSync(join(tmpdir(), "ritmo-postgres-"));
  chmodSync(folder, 0o755);
  let server = await startPostgres({ folder });
  const { url, port } = server;
  try {
    await using db = disposable(openDatabase({ url }));
    await migrate(db.value, openLogger("test", "silent"));
    using witness = witnessFolder();
    await using ritmo = await startRitmo({ databaseUrl: url, db: db.value, leaseSeconds: 4 });
    await ritmo.startWorker("w1");
    await ritmo.createJob("count", "", witnessPipeline(witness.path));
    const build = await ritmo.run("count");
    await untilUnderWay(witness.path);
    process.kill(server.pid, "SIGKILL");
    await server.ended;
    server = await startPostgres({ folder, port });
    const over = await ritmo.untilOver(build);
    expect(over.state).toBe(BuildState.SUCCESS);
    expect((await attemptsOf(ritmo, build)).map((attempt) => attempt.state)).toEqual([StepState.SUCCESS]);
    expect(await logOf(ritmo, `${build}/count@1`)).toBe(witnessed(witness.path, 1));
    // A positive control: the next build runs as if nothing had been.
    const next = await ritmo.untilOver(await ritmo.run("count"));
    expect(next.state).toBe(BuildState.SUCCESS);
    expect(ritmo.controlPlanes[0]?.child.exitCode).toBeNull();
  } finally {
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  }
});

test("a worker that was frozen beyond its lease has everything it sends refused, and ends its step", async () => {
  await using fresh = await freshDatabase();
  using witness = witnessFolder();
  await using ritmo = await startRitmo({ databaseUrl: fresh.url, db: fresh.db, leaseSeconds: 2 });
  const frozen = await ritmo.startWorker("w1");
  await ritmo.createJob("count", "", witnessPipeline(witness.path));
  const build = await ritmo.run("count");
  await untilUnderWay(witness.path);
  await ritmo.startWorker("w2");
  await frozen.signal("SIGSTOP");
  await untilUnderWay(witness.path, 2);
  const durable = (await attemptsOf(ritmo, build))[0]?.logBytes;
  await frozen.signal("SIGCONT");
  const over = await ritmo.untilOver(build);
  expect(over.state).toBe(BuildState.SUCCESS);
  const attempts = await attemptsOf(ritmo, build);
  expect(attempts.map((a) => [a.state, a.reason, a.worker])).toEqual([
    [StepState.ERROR, "WORKER_LOST", "w1"],
    [StepState.SUCCESS, "", "w2"],
  ]);
  expect(attempts[0]?.logBytes).toBe(durable);
  expect(witnessed(witness.path, 1).startsWith(await logOf(ritmo, `${build}/count@1`))).toBe(true);
  expect(await logOf(ritmo, `${build}/count@2`)).toBe(witnessed(witness.path, 2));
  // It ended the step that it had no right to any more, and takes new work again.
  const stood = witnessed(witness.path, 1);
  await vi.waitFor(() => expect(frozen.lines.join("\n")).toMatch(/lease|LEASE_LOST/i));
  expect(frozen.child.exitCode).toBeNull();
  expect(witnessed(witness.path, 1)).toBe(stood);
});

function disposable<T extends { close(): Promise<void> }>(value: T): { value: T } & AsyncDisposable {
  return { value, [Symbol.asyncDispose]: () => value.close() };
}
