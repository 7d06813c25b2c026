/* biome-ignore-all lint/suspicious/noControlCharactersInRegex: control characters are what is looked for. */
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { BuildService, BuildState, StepState } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import { EventService } from "@ritmo/contract/ritmo/event/v1/event_pb.js";
import { FleetService, WorkerState } from "@ritmo/contract/ritmo/fleet/v1/fleet_pb.js";
import { JobService } from "@ritmo/contract/ritmo/job/v1/job_pb.js";
import { expect, test } from "vitest";
import { fakeBuild } from "./testing/fake-build.ts";
import { runCli } from "./testing/run-cli.ts";
import { startFakeServer } from "./testing/start-fake-server.ts";

const HOSTILE = "\u001b]0;owned\u0007\u001b[31mred\r\nnext\u202eflip";

test("build list: a table for people, named fields for programs, every page up to the limit", async () => {
  const asked: { pageSize: number; states: BuildState[] }[] = [];
  await using server = await startFakeServer((router) =>
    router.service(BuildService, {
      listBuilds: ({ pageSize, pageToken, states }) => {
        asked.push({ pageSize, states });
        const from = Number(pageToken || 0);
        const builds = Array.from({ length: Math.min(pageSize, 2) }, (_, i) => ({
          id: `bld_${from + i}`,
          name: `hello#${from + i}`,
          number: BigInt(from + i),
          state: BuildState.FAILURE,
          source: { case: "branch" as const, value: HOSTILE },
          commit: "a".repeat(40),
          message: HOSTILE,
          createdAt: timestampFromMs(Date.now() - 180_000),
        }));
        return { builds, nextPageToken: from < 6 ? String(from + 2) : "" };
      },
    }),
  );
  const table = await runCli(["build", "list", "--limit", "3", "--state", "failure,running"], { env: server.env });
  expect(table.code).toBe(0);
  expect(table.out.split("\n")).toHaveLength(5);
  expect(table.out).toContain("3 m ago");
  expect(table.out).not.toMatch(/[\x00-\x09\x0b-\x1f\u202e]/);
  expect(table.out).toContain("\\x1b]0;owned\\x07");
  expect(table.err).toContain("--limit");
  expect(asked.map((a) => a.pageSize)).toEqual([3, 1]);
  expect(asked[0]?.states).toEqual([BuildState.FAILURE, BuildState.RUNNING]);
  const json = await runCli(["build", "list", "--job", "hello", "--json", "id,number,state,commit"], {
    env: server.env,
  });
  const rows = JSON.parse(json.out);
  expect(rows).toHaveLength(8);
  expect(rows[0]).toEqual({ id: "bld_0", number: 0, state: "FAILURE", commit: "a".repeat(40) });
  expect(await runCli(["build", "list", "--state", "red"], { env: server.env })).toMatchObject({
    code: 2,
    err: expect.stringContaining("success"),
  });
});

test("--json without fields, or with one that is not there, lists what there is", async () => {
  await using server = await startFakeServer(() => {});
  for (const argv of [
    ["build", "list", "--json"],
    ["job", "list", "--json", "id,nmae"],
    ["worker", "view", "w", "--json"],
    ["step", "list", "hello#1", "--json"],
  ]) {
    const ran = await runCli(argv, { env: server.env });
    expect(ran).toMatchObject({ code: 2, out: "" });
    expect(ran.err).toContain("  id");
  }
  expect(server.calls).toEqual([]);
});

test("an empty list is good, and JSON for it is an empty array", async () => {
  await using server = await startFakeServer((router) => {
    router.service(JobService, { listJobs: () => ({}) });
    router.service(BuildService, { listBuilds: () => ({}) });
  });
  expect(await runCli(["job", "list"], { env: server.env })).toMatchObject({ code: 0, out: "" });
  expect(await runCli(["build", "list", "--json", "id"], { env: server.env })).toMatchObject({
    code: 0,
    out: "[]\n",
    err: "",
  });
});

test("build view: the cause first, the first error line, what to do next; by its web address too", async () => {
  const fake = fakeBuild(["compile", "test"], {
    state: BuildState.FAILURE,
    cause: `test exited with code 3 ${HOSTILE}`,
    message: "Break it\n\nmore",
    authorName: "Ada",
  });
  fake.step("compile", StepState.SUCCESS);
  fake.step("test", StepState.FAILURE, { exitCode: 3 });
  await using server = await startFakeServer(fake.routes);
  const { code, out } = await runCli(["build", "view", `${server.url}/jobs/hello/builds/1#L3`], { env: server.env });
  expect(code).toBe(0);
  expect(out.indexOf("test exited")).toBeLessThan(out.indexOf("STEP"));
  expect(out).toContain("test: Error: expected 3, got 4");
  expect(out).toContain("ritmo build logs hello#1 --step test");
  expect(out).toContain("Break it (Ada)");
  expect(out).not.toMatch(/[\x00-\x09\x0b-\x1f\u202e]/);
  const json = await runCli(["build", "view", "hello#1", "--json", "name,branch,tag,startedAt"], { env: server.env });
  expect(JSON.parse(json.out)).toEqual({ name: "hello#1", branch: "main", tag: null, startedAt: null });
});

test("colours: not in a pipe, but where forced; NO_COLOR takes them from a terminal", async () => {
  const fake = fakeBuild(["compile"]);
  await using server = await startFakeServer(fake.routes);
  const view = (env: object, isTty: boolean) =>
    runCli(["build", "view", "hello#1"], { env: { ...server.env, ...env }, isTty });
  expect((await view({}, false)).out).not.toContain("\u001b[");
  expect((await view({ FORCE_COLOR: "1" }, false)).out).toContain("\u001b[");
  expect((await view({}, true)).out).toContain("\u001b[");
  expect((await view({ NO_COLOR: "1" }, true)).out).not.toContain("\u001b[");
});

test("step explain names each worker and why not; job and worker lists show what they have", async () => {
  await using server = await startFakeServer((router) => {
    router.service(BuildService, {
      explainStep: () => ({
        step: { name: "hello#3/train", state: StepState.QUEUED },
        summary: "No worker has gpu=true.",
        remedy: "Add a worker with that label.",
        why: {
          case: "waitsForWorker",
          value: { workers: [{ worker: "local", code: "LABELS_MISSING", text: "lacks gpu=true" }], queuePosition: 2 },
        },
      }),
    });
    router.service(FleetService, {
      listWorkers: () => ({
        workers: [
          {
            id: "wrk_1",
            name: "local",
            state: WorkerState.ONLINE,
            slots: 2,
            busySlots: 1,
            labels: [{ key: "gpu", value: "true" }],
            memoryBytes: 2n ** 34n,
          },
        ],
      }),
      createWorker: ({ name, labels }) => ({
        worker: { name, labels: labels.map(({ key, value }) => ({ key, value })) },
        token: "rw_secret",
      }),
    });
    router.service(JobService, {
      listJobs: () => ({
        jobs: [{ name: "hello", repository: "file:///x", lastBuild: { number: 3n, state: "failure" } }],
      }),
    });
  });
  const { env } = server;
  const explained = await runCli(["step", "explain", "hello#3/train"], { env });
  expect(explained.out).toContain("No worker has gpu=true.");
  expect(explained.out).toContain("lacks gpu=true");
  expect(explained.out).toContain("2 are before it");
  const json = await runCli(["step", "explain", "hello#3/train", "--json", "summary,waitsForWorker"], { env });
  expect(JSON.parse(json.out)).toMatchObject({ waitsForWorker: { workers: [{ code: "LABELS_MISSING" }] } });
  expect((await runCli(["worker", "list"], { env })).out).toContain("gpu=true");
  expect(JSON.parse((await runCli(["worker", "list", "--json", "name,state,memoryBytes"], { env })).out)).toEqual([
    { name: "local", state: "ONLINE", memoryBytes: 17179869184 },
  ]);
  expect((await runCli(["job", "list"], { env })).out).toContain("✗ #3 failure");
  expect(await runCli(["worker", "create", "w2", "--labels", "gpu=true,zone=a"], { env })).toMatchObject({
    code: 0,
    out: "rw_secret\n",
  });
  expect(await runCli(["worker", "create", "w2", "--labels", "gpu"], { env })).toMatchObject({ code: 2 });
});

test("event watch prints NDJSON and goes on where a connection broke", async () => {
  let opened = 0;
  await using server = await startFakeServer((router) =>
    router.service(EventService, {
      async *watch({ cursor }) {
        opened++;
        yield {
          events: [
            { cursor: `${cursor}x`, subject: { case: "build", value: { name: "hello#1", state: BuildState.SUCCESS } } },
          ],
          cursor: `${cursor}x`,
        };
      },
    }),
  );
  const { code, out } = await runCli(["event", "watch", "--count", "3"], { env: server.env });
  const lines = out
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(code).toBe(0);
  expect(lines.map((l) => l.cursor)).toEqual(["x", "xx", "xxx"]);
  expect(lines[0].build).toMatchObject({ name: "hello#1", state: "SUCCESS" });
  expect(opened).toBe(3);
});
