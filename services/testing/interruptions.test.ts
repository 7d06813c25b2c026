import { randomUUID } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BuildService, BuildState, StepState } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import { expect, test, vi } from "vitest";
import { sleep } from "../process/wait.ts";
import { type FreshDatabase, freshDatabase } from "./fresh-database.ts";
import { openLossyProxy } from "./lossy-proxy.ts";
import { type Ritmo, startRitmo } from "./start-ritmo.ts";
import { attemptsOf, logOf } from "./witness.ts";

// Connections to the database break all the time while builds of many small steps run. Nobody who asks repeats
// anything but what failed, under the same request id; nothing is lost, and nothing is done twice.

// For a machine that has much else to do.
vi.setConfig({ testTimeout: 120_000 });

const LAYERS = 5;
const WIDTH = 6;

/** Thirty steps in layers, each of which needs all of the layer before, and writes its name to one file. */
function layers(file: string): string {
  const steps = Array.from({ length: LAYERS * WIDTH }, (_, i) => {
    const layer = Math.floor(i / WIDTH);
    const before = Array.from({ length: layer === 0 ? 0 : WIDTH }, (_, k) => `s${(layer - 1) * WIDTH + k}`);
    return `  s${i}: { checkout: false, needs: [${before.join(", ")}], run: "echo $RITMO_STEP | tee -a ${file}" }`;
  });
  return `version: 1\nsteps:\n${steps.join("\n")}\n`;
}

/** Goes on until the signal: what must not end a build. */
type Trouble = (signal: AbortSignal) => Promise<void>;

async function buildThrough(ritmo: Ritmo, trouble: Trouble): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "ritmo-layers-"));
  const over = new AbortController();
  try {
    await ritmo.createJob("layers", "", layers(join(folder, "ran")));
    const going = trouble(over.signal);
    const request = { requestId: randomUUID(), job: "layers" };
    const create = () =>
      ritmo
        .client(BuildService)
        .createBuild(request)
        .then(({ build }) => build?.name);
    // As every client does that was told nothing: the same request until it is answered.
    await expect.poll(create, { timeout: 20_000 }).toBe("layers#1");
    const build = await ritmo.untilOver("layers#1");
    over.abort();
    await going;
    expect(build.state).toBe(BuildState.SUCCESS);
    expect((await ritmo.client(BuildService).listBuilds({ job: "layers" })).builds).toHaveLength(1);
    await expectEachOnceInOrder(ritmo, readFileSync(join(folder, "ran"), "utf8"));
  } finally {
    over.abort();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function expectEachOnceInOrder(ritmo: Ritmo, ran: string): Promise<void> {
  const names = ran.trim().split("\n");
  expect(names.toSorted()).toEqual(Array.from({ length: LAYERS * WIDTH }, (_, i) => `s${i}`).toSorted());
  const layersRan = names.map((name) => Math.floor(Number(name.slice(1)) / WIDTH));
  expect(layersRan).toEqual(layersRan.toSorted((a, b) => a - b));
  for (const name of names) {
    const last = (await attemptsOf(ritmo, `layers#1/${name}`)).at(-1);
    expect(last?.state).toBe(StepState.SUCCESS);
    expect(await logOf(ritmo, `layers#1/${name}`)).toBe(`${name}\n`);
  }
}

// Reports come every second, so that an offer whose answer was lost is found soon.
const LEASE_SECONDS = 4;

test("the database drops single connections, ten a second", async () => {
  await using fresh: FreshDatabase = await freshDatabase();
  await using ritmo = await startRitmo({
    databaseUrl: fresh.url,
    db: fresh.db,
    controlPlanes: 2,
    leaseSeconds: LEASE_SECONDS,
  });
  await ritmo.startWorker("w1");
  let dropped = 0;
  await buildThrough(ritmo, async (signal) => {
    for (; !signal.aborted; await sleep(100, signal)) {
      const rows = await fresh.db.sql`
        SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name LIKE 'ritmo%'
        ORDER BY random() LIMIT 1`;
      dropped += rows.length;
    }
  });
  expect(dropped).toBeGreaterThan(5);
  for (const { child } of ritmo.controlPlanes) expect(child.exitCode).toBeNull();
});

test("the database does what it was asked and the answer is lost, again and again", async () => {
  await using fresh: FreshDatabase = await freshDatabase();
  const url = new URL(fresh.url);
  await using proxy = await openLossyProxy({ host: url.hostname, port: Number(url.port) });
  url.port = String(proxy.port);
  await using ritmo = await startRitmo({ databaseUrl: url.href, db: fresh.db, leaseSeconds: LEASE_SECONDS });
  await ritmo.startWorker("w1");
  await buildThrough(ritmo, async (signal) => {
    for (; !signal.aborted; await sleep(150, signal)) await proxy.loseAnswer();
  });
  expect(proxy.lost).toBeGreaterThan(5);
  expect(ritmo.controlPlanes[0]?.child.exitCode).toBeNull();
});
