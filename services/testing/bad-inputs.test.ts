import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { type Build, BuildService, BuildState, StepState } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import { FleetService } from "@ritmo/contract/ritmo/fleet/v1/fleet_pb.js";
import { JobService } from "@ritmo/contract/ritmo/job/v1/job_pb.js";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { refusalOf } from "./call-handlers.ts";
import { type FreshDatabase, freshDatabase } from "./fresh-database.ts";
import { startGitHttpServer } from "./git-servers.ts";
import { mountSmall } from "./mount-small.ts";
import { runProcess } from "./run-process.ts";
import { type Ritmo, startRitmo } from "./start-ritmo.ts";
import { type TestRepository, testRepository } from "./test-repository.ts";
import { logOf } from "./witness.ts";

// What people get wrong, from the call to the words that they read, through real processes. In the order of the list
// that every release is held to; what is tried wholly elsewhere is not repeated here:
//
// | Row                                          | Where                                                             |
// | -------------------------------------------- | ----------------------------------------------------------------- |
// | a repository that isn't there, credentials   | here; over https and ssh in source/read-source-remote.test.ts     |
// | a commit, a branch, a pipeline that isn't    | here; every kind of source in source/read-source.test.ts          |
// | a misspelt key, a cycle, a missing need      | here; every diagnostic in pipeline/read-pipeline.test.ts          |
// | ten thousand steps                           | here; the other limits in pipeline/read-pipeline-limits.test.ts   |
// | too long, no shell, full disk                | here                                                              |
// | a worker nobody knows, labels nobody has     | here; each verdict in builds/decide-explanation.test.ts           |
// | a second finish, a stale attempt, a log gap  | bad-workers.test.ts                                               |
// | messages over the limit                      | here; on each protocol in edge/message-limits.test.ts,            |
// |                                              | on the worker port in bad-workers.test.ts                         |
// | a page token of another list, a wrong kind   | here; each list in rpc/*.test.ts, each kind in names/resolve.test |

vi.setConfig({ testTimeout: 120_000 });
let fresh: FreshDatabase;
let ritmo: Ritmo;
let repository: TestRepository;

const GOOD = "version: 1\nsteps:\n  hello: { run: echo hello }\n";

beforeAll(async () => {
  fresh = await freshDatabase();
  ritmo = await startRitmo({ databaseUrl: fresh.url, db: fresh.db });
  repository = testRepository();
  repository.commit("main", { ".ritmo.yaml": GOOD });
  repository.commit("empty", { "README.md": "nothing to build" });
  await ritmo.startWorker("w1");
});
afterAll(async () => {
  await ritmo?.[Symbol.asyncDispose]();
  await fresh?.[Symbol.asyncDispose]();
  repository?.[Symbol.dispose]();
});

/** Whatever was asked: the process lives, and found no fault of its own. */
afterEach(() => {
  for (const { child, lines } of ritmo.controlPlanes) {
    expect([child.exitCode, child.signalCode]).toEqual([null, null]);
    expect(lines.filter((line) => /by our fault|"level":[56]0/.test(line))).toEqual([]);
  }
});

let jobs = 0;

/** Builds a job of its own and answers how that ended. */
async function built(
  job: { repository?: string; pipelineText?: string },
  source?: { case: "branch" | "tag" | "commit"; value: string },
): Promise<Build> {
  const name = `bad-${++jobs}`;
  const { repository: from = "", pipelineText } = job;
  await ritmo.createJob(name, from, pipelineText);
  const { build } = await ritmo
    .client(BuildService)
    .createBuild({ requestId: randomUUID(), job: name, ...(source ? { source } : {}) });
  return await ritmo.untilOver(build?.name ?? "");
}

/** Words for people: no stack, no code, nothing that only we understand. */
function expectPlainWords(build: Build): void {
  expect(build.cause).not.toBe("");
  expect(build.cause).not.toMatch(/\n\s*at |Error:|undefined|\[object/);
  expect(["failure", "error", "timeout"]).toContain(BuildState[build.state]?.toLowerCase());
}

describe("a source that isn't there", () => {
  const rows: [string, () => Parameters<typeof built>, { state: BuildState; reason: string; cause: RegExp }][] = [
    [
      "a repository that doesn't exist",
      () => [{ repository: `file://${repository.root}/nowhere.git` }],
      { state: BuildState.FAILURE, reason: "REPOSITORY_NOT_FOUND", cause: /nowhere\.git/ },
    ],
    [
      "a commit that isn't there",
      () => [{ repository: repository.url }, { case: "commit", value: "f".repeat(40) }],
      { state: BuildState.FAILURE, reason: "COMMIT_NOT_FOUND", cause: /f{12}/ },
    ],
    [
      "a branch that isn't there",
      () => [{ repository: repository.url }, { case: "branch", value: "mian" }],
      { state: BuildState.FAILURE, reason: "REF_NOT_FOUND", cause: /mian/ },
    ],
    [
      "no pipeline file",
      () => [{ repository: repository.url }, { case: "branch", value: "empty" }],
      { state: BuildState.FAILURE, reason: "PIPELINE_NOT_FOUND", cause: /\.ritmo\.yaml/ },
    ],
  ];
  test.each(rows)("%s", async (_, of, { cause, ...end }) => {
    const build = await built(...of());
    expect(build).toMatchObject({ ...end, cause: expect.stringMatching(cause) });
    expectPlainWords(build);
  });

  test("a repository that needs credentials", async () => {
    await using server = await startGitHttpServer({
      root: repository.root,
      basicAuth: { user: "ada", token: "secret-token" },
    });
    const build = await built({ repository: `${server.url}/project.git` });
    expect(build).toMatchObject({ state: BuildState.ERROR, reason: "CREDENTIALS_NEEDED" });
    expectPlainWords(build);
  });

  test("and the one that is there is built", async () => {
    expect(await built({ repository: repository.url })).toMatchObject({ state: BuildState.SUCCESS, reason: "" });
  });
});

describe("a pipeline that says what can't be", () => {
  const rows: [string, string, { line: number; column: number; message: RegExp; fix: RegExp }][] = [
    [
      "a misspelt key: its line, its column and the likely one",
      'version: 1\nsteps:\n  a:\n    run: "true"\n  b:\n    neds: [a]\n    run: "true"\n',
      { line: 6, column: 5, message: /neds/, fix: /needs/ },
    ],
    [
      "a cycle, with the way round",
      "version: 1\nsteps:\n  a: { run: x, needs: [b] }\n  b: { run: x, needs: [a] }\n",
      { line: 4, column: 1, message: /a.*b|b.*a/, fix: /./ },
    ],
    [
      "a need that isn't there, and the likely one",
      "version: 1\nsteps:\n  compile: { run: x }\n  test:\n    needs: [compil]\n    run: x\n",
      { line: 5, column: 13, message: /compil/, fix: /compile/ },
    ],
  ];
  test.each(rows)("%s", async (_, text, { line, column, message, fix }) => {
    repository.commit("wrong", { ".ritmo.yaml": text });
    const build = await built({ repository: repository.url }, { case: "branch", value: "wrong" });
    expect(build).toMatchObject({ state: BuildState.FAILURE, reason: "PIPELINE_INVALID" });
    expectPlainWords(build);
    const [first] = build.diagnostics;
    expect(first).toMatchObject({ file: ".ritmo.yaml", line });
    expect(first?.column).toBeGreaterThanOrEqual(column);
    expect(first?.message).toMatch(message);
    expect(`${first?.message} ${first?.fix}`).toMatch(fix);
  });

  const many = (count: number) =>
    `version: 1\nsteps:\n${Array.from({ length: count }, (_, i) => `  s${i}: { run: x, requires: {no: "1"} }\n`).join("")}`;

  test("ten thousand steps are taken, and one more is refused with the number", async () => {
    repository.commit("many", { ".ritmo.yaml": many(10_001) });
    const refused = await built({ repository: repository.url }, { case: "branch", value: "many" });
    expect(refused).toMatchObject({ state: BuildState.FAILURE, reason: "PIPELINE_INVALID" });
    expect(refused.cause).toMatch(/10,?001/);
    repository.commit("many", { ".ritmo.yaml": many(10_000) });
    await ritmo.createJob("many", repository.url);
    const name = await ritmo.run("many", "many");
    const builds = ritmo.client(BuildService);
    const state = async () => (await builds.getBuild({ name })).build?.state;
    await expect.poll(state, { timeout: 30_000 }).toBe(BuildState.RUNNING);
    expect((await builds.getBuild({ name })).build?.steps?.total).toBe(10_000);
    await builds.cancelBuild({ requestId: randomUUID(), name });
    expect((await ritmo.untilOver(name)).state).toBe(BuildState.CANCELLATION);
  });
});

describe("a step that can't go on", () => {
  test("one that outlives its time", async () => {
    const text = "version: 1\nsteps:\n  slow: { checkout: false, timeout: 1s, run: echo begun; sleep 600 }\n";
    const build = await built({ pipelineText: text });
    expect(build.state).toBe(BuildState.TIMEOUT);
    expect(build.cause).toMatch(/slow: .*1s/);
    expect(await logOf(ritmo, `${build.name}/slow`)).toBe("begun\n");
  });

  test("a shell that isn't there", async () => {
    const text = "version: 1\nsteps:\n  odd: { checkout: false, shell: no-such-shell -x, run: echo never }\n";
    const build = await built({ pipelineText: text });
    expect(build).toMatchObject({ state: BuildState.FAILURE, reason: "SHELL_NOT_FOUND" });
    expect(build.cause).toContain("no-such-shell");
  });

  test("a full disk: an error that says so, what was acknowledged is kept, and the worker goes on", async ({
    skip,
  }) => {
    const place = join(ritmo.folder, "small-disk");
    using disk = mountSmall(place, "24m");
    skip(!disk, "a small file system can't be mounted here (only root may)");
    const work = join(place, "work");
    const small = { RITMO_WORK_DIR: work, RITMO_LABELS: "disk=small", RITMO_DISK_FULL_SECONDS: "1" };
    const worker = await ritmo.startWorker("small", small);
    const run = `
      - echo before
      - sleep 0.3
      - cat /dev/zero > fill || true
      - for i in $(seq 400); do printf '%065536d\\n' $i; done
`;
    const step = (commands: string) =>
      `version: 1\nsteps:\n  fill:\n    checkout: false\n    requires: { disk: small }\n    run:${commands}`;
    const build = await built({ pipelineText: step(run) });
    expect(build).toMatchObject({ state: BuildState.ERROR, reason: "DISK_FULL" });
    expectPlainWords(build);
    const { attempts } = await ritmo.client(BuildService).listAttempts({ step: `${build.name}/fill` });
    expect(attempts.map((attempt) => attempt.reason)).toEqual(["DISK_FULL", "DISK_FULL", "DISK_FULL"]);
    const logs = await Promise.all(attempts.map(({ number }) => logOf(ritmo, `${build.name}/fill@${number}`)));
    expect(logs.map((log) => BigInt(log.length))).toEqual(attempts.map((attempt) => attempt.logBytes));
    // Each attempt finds the room that the one before had filled.
    for (const log of logs) expect(log).toMatch(/^before\n/);
    expect(worker.child.exitCode).toBeNull();
    expect((await built({ pipelineText: step(" echo room again\n") })).state).toBe(BuildState.SUCCESS);
    await worker.signal("SIGKILL");
  });
});

describe("a step that nobody can take", () => {
  test("a worker nobody knows is told so, once, and ends", async () => {
    const stranger = runProcess("worker/main.ts", {
      RITMO_CONTROL_PLANE: ritmo.controlPlanes[0]?.workerAddress ?? "",
      RITMO_WORKER_TOKEN: `rw_${"x".repeat(43)}`,
      RITMO_WORK_DIR: join(ritmo.folder, "stranger"),
    });
    await using _ = stranger;
    expect(await stranger.ended).not.toBe(0);
    expect(stranger.lines.join("\n")).toMatch(/token/i);
    expect(stranger.lines.join("\n")).not.toMatch(/^\s+at /m);
  });

  test("labels that no worker has: the build and `step explain` say so, and a worker that has them ends it", async () => {
    await ritmo.createJob(
      "gpu",
      "",
      'version: 1\nsteps:\n  train: { checkout: false, requires: { gpu: "true" }, run: echo }\n',
    );
    const name = await ritmo.run("gpu");
    const builds = ritmo.client(BuildService);
    await expect.poll(async () => (await builds.getBuild({ name })).build?.reason).toBe("NO_WORKER");
    expect((await builds.getBuild({ name })).build).toMatchObject({
      state: BuildState.RUNNING,
      cause: "train waits: no worker has gpu=true",
    });
    const told = await builds.explainStep({ name: `${name}/train` });
    expect(told.step?.state).toBe(StepState.QUEUED);
    expect(told.summary).toContain("no worker has gpu=true");
    expect(told.remedy).toContain("--labels gpu=true");
    await ritmo.startWorker("gpu", { RITMO_LABELS: "gpu=true" });
    expect((await ritmo.untilOver(name)).state).toBe(BuildState.SUCCESS);
  });
});

describe("a call that can't be meant", () => {
  test("messages over the limit", async () => {
    const job = "x".repeat(70 * 1024);
    const refused = await refusalOf(ritmo.client(BuildService).createBuild({ requestId: randomUUID(), job }));
    expect(refused.code).toBe("ResourceExhausted");
    expect(refused.message).toMatch(/65536|64 KiB/);
  });

  test("a page token of another list, and a made-up one", async () => {
    await built({ pipelineText: GOOD.replace("run:", "checkout: false, run:") });
    const { nextPageToken } = await ritmo.client(BuildService).listBuilds({ pageSize: 1 });
    expect(nextPageToken).not.toBe("");
    const pageToken = nextPageToken;
    expect(await refusalOf(ritmo.client(JobService).listJobs({ pageToken }))).toMatchObject(INVALID_TOKEN);
    expect(await refusalOf(ritmo.client(BuildService).listBuilds({ pageToken, branch: "main" }))).toMatchObject(
      INVALID_TOKEN,
    );
    expect(await refusalOf(ritmo.client(FleetService).listWorkers({ pageToken: "AAAA" }))).toMatchObject(INVALID_TOKEN);
    expect((await ritmo.client(BuildService).listBuilds({ pageSize: 1, pageToken })).builds).toHaveLength(1);
  });

  test("an id of the wrong kind, a name that is none, one that nothing has", async () => {
    const builds = ritmo.client(BuildService);
    const [first] = (await builds.listBuilds({ pageSize: 1 })).builds;
    const [worker] = (await ritmo.client(FleetService).listWorkers({})).workers;
    const name = worker?.id ?? "";
    expect(await refusalOf(builds.getBuild({ name }))).toMatchObject({ code: "InvalidArgument", reason: "WRONG_KIND" });
    expect(await refusalOf(builds.getStep({ name: first?.id ?? "" }))).toMatchObject({ code: "InvalidArgument" });
    expect(await refusalOf(builds.getBuild({ name: "no one#x\u0000" }))).toMatchObject({ code: "InvalidArgument" });
    expect(await refusalOf(builds.getBuild({ name: "nothing#1" }))).toMatchObject({ code: "NotFound" });
    expect((await builds.getBuild({ name: first?.id ?? "" })).build?.id).toBe(first?.id);
  });

  test("a request id that is no UUID", async () => {
    const again = ritmo.client(BuildService).createBuild({ requestId: "again", job: "gpu" });
    expect(await refusalOf(again)).toMatchObject({ message: expect.stringMatching(/^request_id: /) });
  });
});

const INVALID_TOKEN = { code: "InvalidArgument", reason: "PAGE_TOKEN_INVALID" };
