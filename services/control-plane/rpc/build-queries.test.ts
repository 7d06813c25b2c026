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

test("a deleted job's builds are in no list, and can be read by their ids", async () => {
  const { sql } = fresh.db;
  const [gone, kept] = [await plantJob(sql, "gone"), await plantJob(sql, "kept")];
  const hidden = await plantBuild(sql, gone, { state: "success" });
  for (let i = 0; i < 3; i++) await plantBuild(sql, i === 1 ? gone : kept, { state: "success" });
  await sql`UPDATE jobs SET deleted_at = clock_timestamp(), revision = revision + 1 WHERE id = ${gone}`;
  for (const states of [[], [BuildState.SUCCESS]]) {
    const first = await builds.listBuilds({ states, pageSize: 1 });
    const second = await builds.listBuilds({ states, pageSize: 1, pageToken: first.nextPageToken });
    expect([...first.builds, ...second.builds].map((build) => build.name)).toEqual(["kept#2", "kept#1"]);
    expect(second.nextPageToken).toBe("");
  }
  expect((await get(hidden))?.id).toBe(hidden);
});
