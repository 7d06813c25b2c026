import { afterEach, beforeEach, expect, test } from "vitest";
import { type FreshDatabase, freshDatabase } from "../../testing/fresh-database.ts";
import { plantAttempt, plantBuild, plantJob, plantStep, plantWorker } from "../../testing/plant-rows.ts";
import { resolveStep } from "../names/resolve.ts";
import { explainStep } from "./explain-step.ts";
import { readBuild, readBuilds } from "./read-build.ts";

let fresh: FreshDatabase;
const PROCESS = "ritmo/executor=process";
const DOCKER = "ritmo/executor=docker";
const GPU = [PROCESS, "gpu=true"].sort();

beforeEach(async () => {
  fresh = await freshDatabase();
});
afterEach(() => fresh[Symbol.asyncDispose]());

const read = (buildId: string) => readBuild(fresh.db.sql, buildId);
const explain = async (name: string) =>
  await explainStep(fresh.db.sql, (await resolveStep(fresh.db.sql, "org_default", name)).id);

test("a build that no worker can go on with says so, as long as that is so", async () => {
  const { sql } = fresh.db;
  const id = await plantBuild(sql, await plantJob(sql, "hello"));
  await plantWorker(sql, "local");
  await plantWorker(sql, "away", { labels: ["gpu=true"], state: "offline" });
  await plantStep(sql, id, { key: "train", state: "queued", requires: GPU });
  await plantStep(sql, id, { key: "publish", needs: ["train"] });
  const blocked = await read(id);
  expect(blocked?.cause).toMatch(/^train waits: no worker has gpu=true; one that could was last seen \d{4}-\d\d-\d\d/);
  expect(blocked?.reason).toBe("NO_WORKER");
  expect((await readBuilds(sql, [id]))[0]?.cause).toBe(blocked?.cause);

  const other = await plantStep(sql, id, { key: "lint", state: "queued" });
  expect((await read(id))?.cause).toBe("");
  await sql`DELETE FROM queue WHERE step_id = ${other}`;
  await sql`UPDATE steps SET state = 'cancellation', finished_at = clock_timestamp() WHERE id = ${other}`;
  expect((await read(id))?.cause).toBe(blocked?.cause);
  await sql`UPDATE workers SET state = 'online' WHERE name = 'away'`;
  expect((await read(id))?.cause).toBe("");
});

test.each<[string, Parameters<typeof plantWorker>[2] & object, object, string]>([
  ["of another pool", { pool: "big", labels: ["gpu=true"] }, { requires: GPU }, "no worker has gpu=true"],
  [
    "that drains",
    { labels: ["gpu=true"], state: "draining", draining: true },
    { requires: GPU },
    "the only worker that could, local, is draining",
  ],
  [
    "that drains and is too small",
    { machine: { cpus: 2 }, draining: true },
    { cpuMillis: 4_000 },
    "no worker is online",
  ],
  ["that drained and left", { state: "offline", draining: true }, {}, "no worker is online; one that could was last"],
  ["without containers", {}, { requires: [DOCKER] }, "no worker has a container engine"],
  ["too small", { machine: { cpus: 2 } }, { cpuMillis: 4_000 }, "no worker has 4 CPUs"],
])("a worker %s does not count", async (_, worker, step, cause) => {
  const { sql } = fresh.db;
  const id = await plantBuild(sql, await plantJob(sql, "hello"));
  await plantWorker(sql, "local", worker);
  await plantStep(sql, id, { state: "queued", ...step });
  expect((await read(id))?.cause).toContain(cause);
});

test("a scripted worker counts as one that runs processes", async () => {
  const { sql } = fresh.db;
  const id = await plantBuild(sql, await plantJob(sql, "hello"));
  await plantStep(sql, id, { state: "queued" });
  expect((await read(id))?.cause).toBe("test waits: no worker is online");
  await plantWorker(sql, "bench", { executors: ["scripted"] });
  expect((await read(id))?.cause).toBe("");
});

test("a queued step is explained by the workers, its place and what to do", async () => {
  const { sql } = fresh.db;
  const id = await plantBuild(sql, await plantJob(sql, "hello"));
  await plantWorker(sql, "local");
  await plantWorker(sql, "resting", {
    labels: ["gpu=true"],
    state: "draining",
    draining: true,
    drainReason: "new disk",
  });
  await plantWorker(sql, "elsewhere", { pool: "big", labels: ["gpu=true"] });
  await plantStep(sql, id, { key: "first", state: "queued", requires: GPU });
  await plantStep(sql, id, { key: "train", state: "queued", requires: GPU });
  const explained = await explain("hello#1/train");
  expect(explained.step?.key).toBe("train");
  expect(explained.summary).toBe("train waits: the only worker that could, resting, is draining: new disk.");
  expect(explained.remedy).toBe("`ritmo worker resume resting` ends that.");
  expect(explained.why).toMatchObject({
    case: "waitsForWorker",
    value: {
      queuePosition: 1,
      workers: [
        { worker: "resting", code: "DRAINING", text: "draining: new disk" },
        { worker: "local", code: "LABELS_MISSING", text: "lacks gpu=true" },
      ],
    },
  });
  const busy = await plantWorker(sql, "gpu", { labels: ["gpu=true"], slots: 1 });
  const held = await plantStep(sql, id, { key: "held", state: "running", requires: GPU, sessionId: busy.sessionId });
  await plantAttempt(sql, held, busy);
  const waits = await explain("hello#1/train");
  expect(waits).toMatchObject({ summary: "train waits for a free slot of gpu; 1 step is before it.", remedy: "" });
  const runs = await explain(held);
  expect(runs).toMatchObject({ summary: "held runs on gpu.", why: { case: "runs", value: { workerId: busy.id } } });
});

test("a step that waits or was skipped names the steps that it is because of", async () => {
  const { sql } = fresh.db;
  const id = await plantBuild(sql, await plantJob(sql, "hello"));
  await plantStep(sql, id, { key: "good", state: "success" });
  await plantStep(sql, id, { key: "bad", state: "failure" });
  await plantStep(sql, id, { key: "between", state: "skip", needs: ["bad", "good"] });
  await plantStep(sql, id, { key: "last", state: "skip", needs: ["between"] });
  await plantStep(sql, id, { key: "later", needs: ["good", "slow"] });
  await plantStep(sql, id, { key: "slow" });
  await sql`INSERT INTO step_needs SELECT l.id, s.id FROM steps l, steps s WHERE l.key = 'later' AND s.key = 'slow'`;
  expect(await explain("hello#1/later")).toMatchObject({
    summary: "later waits for slow.",
    why: { case: "waitsForSteps", value: { steps: ["slow"] } },
  });
  expect(await explain("hello#1/last")).toMatchObject({
    summary: "last was skipped, because bad did not succeed.",
    why: { case: "over", value: { becauseOf: ["bad"], attemptId: "" } },
  });
});
