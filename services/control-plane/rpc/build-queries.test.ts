import type { Client } from "@connectrpc/connect";
import { BuildOrder, BuildService, BuildState, StepState } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import { afterEach, beforeEach, expect, test } from "vitest";
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
import { buildQueries } from "./build-queries.ts";

let fresh: FreshDatabase;
let builds: Client<typeof BuildService>;
const PROCESS = "ritmo/executor=process";
const DOCKER = "ritmo/executor=docker";
const GPU = [PROCESS, "gpu=true"].sort();

beforeEach(async () => {
  fresh = await freshDatabase();
  builds = as("org_default");
});
afterEach(() => fresh[Symbol.asyncDispose]());

const as = (orgId: string) =>
  callHandlers(BuildService, buildQueries({ db: fresh.db, baseUrl: "https://ci.example.com" }), { orgId });
const get = async (name: string) => (await builds.getBuild({ name })).build;

test("a build is told whole, and its address leads back to it", async () => {
  const { sql } = fresh.db;
  const job = await plantJob(sql, "hello");
  const id = await plantBuild(sql, job, { branch: "topic/x" });
  const worker = await plantWorker(sql, "local");
  for (const [key, state] of Object.entries({
    a: "success",
    b: "failure",
    c: "skip",
    d: "running",
    e: "waiting",
    f: "timeout",
  }))
    await plantStep(sql, id, { key, state, sessionId: worker.sessionId });
  const build = await get("hello#1");
  expect(build).toMatchObject({
    id,
    name: "hello#1",
    jobId: job,
    number: 1n,
    state: BuildState.RUNNING,
    source: { case: "branch", value: "topic/x" },
    commit: "a".repeat(40),
    createdBy: "somebody",
    cause: "",
    steps: { total: 6, waiting: 1, queued: 0, active: 1, succeeded: 1, failed: 2, notRun: 1 },
    url: "https://ci.example.com/jobs/hello/builds/1",
    repository: "https://git.example.com/hello.git",
  });
  expect(build?.finishedAt).toBeUndefined();
  for (const name of [id, build?.url ?? ""]) expect(await get(name)).toEqual(build);
});

test("what is wrong with a pipeline is told with its place", async () => {
  const id = await plantBuild(fresh.db.sql, await plantJob(fresh.db.sql, "hello"), { state: "failure" });
  const found = { severity: 1, code: "unknown-key", message: "no key `rum`", line: 4, column: 5 };
  await fresh.db.sql`UPDATE builds SET reason = 'PIPELINE_INVALID', cause = 'x',
    diagnostics = ${fresh.db.sql.json([found])} WHERE id = ${id}`;
  expect(await get(id)).toMatchObject({
    reason: "PIPELINE_INVALID",
    diagnostics: [{ code: "unknown-key", line: 4, column: 5 }],
  });
});

test("a build that no worker can go on with says so, as long as that is so", async () => {
  const { sql } = fresh.db;
  const id = await plantBuild(sql, await plantJob(sql, "hello"));
  await plantWorker(sql, "local");
  await plantWorker(sql, "away", { labels: ["gpu=true"], state: "offline" });
  await plantStep(sql, id, { key: "train", state: "queued", requires: GPU });
  await plantStep(sql, id, { key: "publish", needs: ["train"] });
  const blocked = await get(id);
  expect(blocked?.cause).toMatch(/^train waits: no worker has gpu=true; one that could was last seen \d{4}-\d\d-\d\d/);
  expect(blocked?.reason).toBe("NO_WORKER");
  expect((await builds.listBuilds({})).builds[0]?.cause).toBe(blocked?.cause);

  const other = await plantStep(sql, id, { key: "lint", state: "queued" });
  expect((await get(id))?.cause).toBe("");
  await sql`DELETE FROM queue WHERE step_id = ${other}`;
  await sql`UPDATE steps SET state = 'cancellation', finished_at = clock_timestamp() WHERE id = ${other}`;
  expect((await get(id))?.cause).toBe(blocked?.cause);
  await sql`UPDATE workers SET state = 'online' WHERE name = 'away'`;
  expect((await get(id))?.cause).toBe("");
});

test.each<[string, Parameters<typeof plantWorker>[2] & object, object, string]>([
  ["of another pool", { pool: "big", labels: ["gpu=true"] }, { requires: GPU }, "no worker has gpu=true"],
  [
    "that drains",
    { labels: ["gpu=true"], state: "draining", draining: true },
    { requires: GPU },
    "no worker has gpu=true",
  ],
  ["without containers", {}, { requires: [DOCKER] }, "no worker has a container engine"],
  ["too small", { machine: { cpus: 2 } }, { cpuMillis: 4_000 }, "no worker has 4 CPUs"],
])("a worker %s does not count", async (_, worker, step, cause) => {
  const { sql } = fresh.db;
  const id = await plantBuild(sql, await plantJob(sql, "hello"));
  await plantWorker(sql, "local", worker);
  await plantStep(sql, id, { state: "queued", ...step });
  expect((await get(id))?.cause).toContain(cause);
});

test("a scripted worker counts as one that runs processes", async () => {
  const { sql } = fresh.db;
  const id = await plantBuild(sql, await plantJob(sql, "hello"));
  await plantStep(sql, id, { state: "queued" });
  expect((await get(id))?.cause).toBe("test waits: no worker is online");
  await plantWorker(sql, "bench", { executors: ["scripted"] });
  expect((await get(id))?.cause).toBe("");
});

test("builds are listed by what they are, newest or oldest first, page by page", async () => {
  const { sql } = fresh.db;
  const [hello, other] = [await plantJob(sql, "hello"), await plantJob(sql, "other")];
  const rows = [
    [hello, "success", "main", "abcdef01"],
    [hello, "failure", "main", "abcdef02"],
    [other, "success", "main", "abcdef01"],
    [hello, "running", "topic", "12345678"],
    [hello, "success", "topic", "abcdef01"],
  ] as const;
  // Ids sort by their millisecond.
  for (const [atMs, [job, state, branch, commit]] of rows.entries())
    await plantBuild(sql, job, { state, branch, commit: commit.padEnd(40, "0"), atMs });
  const names = async (request: object) => {
    const all: string[] = [];
    for (let pageToken = ""; ; ) {
      const page = await builds.listBuilds({ pageSize: 2, ...request, pageToken });
      all.push(...page.builds.map((build) => build.name));
      if (!page.nextPageToken) return all.join(" ");
      pageToken = page.nextPageToken;
    }
  };
  expect(await names({})).toBe("hello#4 hello#3 other#1 hello#2 hello#1");
  expect(await names({ order: BuildOrder.CREATED_ASC })).toBe("hello#1 hello#2 other#1 hello#3 hello#4");
  expect(await names({ job: "hello" })).toBe("hello#4 hello#3 hello#2 hello#1");
  expect(await names({ states: [BuildState.FAILURE, BuildState.SUCCESS, BuildState.SUCCESS] })).toBe(
    "hello#4 other#1 hello#2 hello#1",
  );
  expect(await names({ states: [BuildState.SUCCESS], order: BuildOrder.CREATED_ASC, job: "hello" })).toBe(
    "hello#1 hello#4",
  );
  expect(await names({ branch: "topic" })).toBe("hello#4 hello#3");
  expect(await names({ commit: "ABCDEF01" })).toBe("hello#4 other#1 hello#1");
  expect(await names({ states: [BuildState.TIMEOUT] })).toBe("");
});

test("what can't be listed is refused by its field", async () => {
  const { sql } = fresh.db;
  const job = await plantJob(sql, "hello");
  for (let i = 0; i < 3; i++) await plantBuild(sql, job);
  const { nextPageToken } = await builds.listBuilds({ pageSize: 1 });
  for (const request of [
    { job: "hello" },
    { states: [BuildState.RUNNING] },
    { order: BuildOrder.CREATED_ASC },
    { branch: "main" },
  ])
    expect(await refusalOf(builds.listBuilds({ ...request, pageToken: nextPageToken }))).toMatchObject({
      code: "InvalidArgument",
      reason: "PAGE_TOKEN_INVALID",
    });
  for (const request of [
    { pageSize: 501 },
    { states: [0] },
    { states: [77] },
    { commit: "abc" },
    { commit: "abcdef0g" },
    { branch: "\0" },
  ])
    expect(await refusalOf(builds.listBuilds(request))).toMatchObject({ code: "InvalidArgument" });
  expect(await refusalOf(builds.listBuilds({ job: "nobody" }))).toMatchObject({ code: "NotFound" });
  expect(await refusalOf(builds.listBuilds({ job: "hello#1" }))).toMatchObject({ reason: "WRONG_KIND" });
});

test("steps are told in the pipeline's order with their needs, worker and spec, page by page", async () => {
  const { sql } = fresh.db;
  const id = await plantBuild(sql, await plantJob(sql, "hello"));
  const worker = await plantWorker(sql, "local");
  await plantStep(sql, id, { key: "z", state: "success" });
  await plantStep(sql, id, { key: "a", state: "success" });
  const running = await plantStep(sql, id, {
    key: "m",
    state: "running",
    needs: ["a", "z"],
    sessionId: worker.sessionId,
  });
  const attempt = await plantAttempt(sql, running, worker);
  const first = await builds.listSteps({ build: "hello#1", pageSize: 2 });
  expect(first.steps.map((step) => step.key)).toEqual(["z", "a"]);
  const second = await builds.listSteps({ build: id, pageSize: 2, pageToken: first.nextPageToken });
  expect(second.nextPageToken).toBe("");
  expect(second.steps[0]).toMatchObject({
    name: "hello#1/m",
    buildId: id,
    state: StepState.RUNNING,
    attempt: 1,
    needs: ["z", "a"],
    worker: "local",
    attemptId: attempt,
    position: 2,
    spec: { name: "m", run: ["true"], checkout: true },
  });
  expect((await builds.getStep({ name: "hello#1/m" })).step).toEqual(second.steps[0]);
  const over = await builds.listSteps({ build: "hello#1", states: [StepState.SUCCESS] });
  expect(over.steps.map((step) => step.key)).toEqual(["z", "a"]);
  await plantBuild(sql, (await sql`SELECT id FROM jobs`)[0]?.["id"]);
  for (const request of [{ build: "hello#2" }, { build: "hello#1", states: [StepState.SUCCESS] }])
    expect(await refusalOf(builds.listSteps({ ...request, pageToken: first.nextPageToken }))).toMatchObject({
      reason: "PAGE_TOKEN_INVALID",
    });
  expect(await refusalOf(builds.listSteps({ build: "hello#1", pageSize: 1_001 }))).toMatchObject({
    code: "InvalidArgument",
  });
});

test("every attempt of a step stays to be seen", async () => {
  const { sql } = fresh.db;
  const id = await plantBuild(sql, await plantJob(sql, "hello"));
  const worker = await plantWorker(sql, "local");
  const step = await plantStep(sql, id, { key: "test", state: "running", sessionId: worker.sessionId });
  const lost = await plantAttempt(sql, step, worker, { number: 1, state: "error" });
  await sql`UPDATE attempts SET exit_code = 137, signal = 'SIGKILL', out_of_memory = true, cause = 'Out of memory.',
    log_end = 12, log_lines = 2, error_line = 'Killed' WHERE id = ${lost}`;
  await plantAttempt(sql, step, worker, { number: 2 });
  const { attempts } = await builds.listAttempts({ step: "hello#1/test" });
  expect(attempts.map((attempt) => attempt.name)).toEqual(["hello#1/test@1", "hello#1/test@2"]);
  expect(attempts[0]).toMatchObject({
    state: StepState.ERROR,
    exitCode: 137,
    signal: "SIGKILL",
    outOfMemory: true,
    worker: "local",
    logBytes: 12n,
    logLines: 2n,
    errorLine: "Killed",
  });
  expect(attempts[1]?.exitCode).toBeUndefined();
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
  const explained = await builds.explainStep({ name: "hello#1/train" });
  expect(explained.step?.key).toBe("train");
  expect(explained.summary).toMatch(/^train waits: no worker has gpu=true/);
  expect(explained.remedy).toContain("ritmo worker resume resting");
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
  const waits = await builds.explainStep({ name: "hello#1/train" });
  expect(waits).toMatchObject({ summary: "train waits for a free slot of gpu; 1 step is before it.", remedy: "" });
  const runs = await builds.explainStep({ name: held });
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
  expect(await builds.explainStep({ name: "hello#1/later" })).toMatchObject({
    summary: "later waits for slow.",
    why: { case: "waitsForSteps", value: { steps: ["slow"] } },
  });
  expect(await builds.explainStep({ name: "hello#1/last" })).toMatchObject({
    summary: "last was skipped, because bad did not succeed.",
    why: { case: "over", value: { becauseOf: ["bad"], attemptId: "" } },
  });
});

test("another organization sees none of it", async () => {
  const { sql } = fresh.db;
  const id = await plantBuild(sql, await plantJob(sql, "hello"));
  const step = await plantStep(sql, id, { key: "test" });
  const stranger = as(await plantOrganization(sql, "stranger"));
  expect((await stranger.listBuilds({})).builds).toEqual([]);
  for (const call of [
    () => stranger.getBuild({ name: id }),
    () => stranger.getStep({ name: step }),
    () => stranger.listSteps({ build: "hello#1" }),
    () => stranger.explainStep({ name: step }),
    () => stranger.listAttempts({ step }),
    () => stranger.listBuilds({ job: "hello" }),
  ])
    expect(await refusalOf(call())).toMatchObject({ code: "NotFound" });
});
