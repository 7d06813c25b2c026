import { copyFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { BuildState } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { type FreshDatabase, freshDatabase } from "./fresh-database.ts";
import type { RunningProcess } from "./run-process.ts";
import { type Ritmo, startRitmo } from "./start-ritmo.ts";

// Two processes that claim one worker's place: whoever wins, one of them lives and works, and the other one says why it ends.

vi.setConfig({ testTimeout: 60_000 });
let fresh: FreshDatabase;
let ritmo: Ritmo;

beforeAll(async () => {
  fresh = await freshDatabase();
  ritmo = await startRitmo({ databaseUrl: fresh.url, db: fresh.db, controlPlanes: 2 });
  const steps = "  it: { checkout: false, requires: { place: mine }, run: echo done }\n";
  await ritmo.createJob("any", "", `version: 1\nsteps:\n${steps}`);
});
afterAll(async () => {
  await ritmo?.[Symbol.asyncDispose]();
  await fresh?.[Symbol.asyncDispose]();
});

async function expectOneAlive(rivals: RunningProcess[]): Promise<void> {
  const first = await Promise.race(rivals.map(async (one) => ((await one.ended) === 3 ? one : undefined)));
  expect(first?.lines.at(-1)).toMatch(/^ritmo worker: another process took this worker's place/);
  expect((await ritmo.untilOver(await ritmo.run("any"))).state).toBe(BuildState.SUCCESS);
  const alive = rivals.filter(({ child }) => child.exitCode === null);
  expect(alive).toHaveLength(1);
  for (const one of alive) await one.signal("SIGTERM");
}

const LABELS = { RITMO_LABELS: "place=mine" };

test("the same token in another folder: the newer process has the place", async () => {
  const older = await ritmo.startWorker("one", LABELS);
  await older.said("ready");
  const newer = await ritmo.startWorker("one", { ...LABELS, RITMO_WORK_DIR: join(ritmo.folder, "elsewhere") });
  await expectOneAlive([older, newer]);
  expect(older.child.exitCode).toBe(3);
});

test("a copy of the folder, and so the same session: they displace each other until one of them hears it twice", async () => {
  const original = await ritmo.startWorker("two", LABELS);
  await original.said("ready");
  const copy = join(ritmo.folder, "copy");
  mkdirSync(copy);
  await expect
    .poll(() => copyFileSync(join(ritmo.folder, "work-two", "session.json"), join(copy, "session.json")))
    .toBeUndefined();
  await expectOneAlive([original, await ritmo.startWorker("two", { ...LABELS, RITMO_WORK_DIR: copy })]);
});
