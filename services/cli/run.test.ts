import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Code, ConnectError } from "@connectrpc/connect";
import { BuildService } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import { JobService } from "@ritmo/contract/ritmo/job/v1/job_pb.js";
import { expect, test } from "vitest";
import { makeHome, runCli } from "./testing/run-cli.ts";
import { refusal, startFakeServer } from "./testing/start-fake-server.ts";

test("help is answered with 0 and on stdout; what is no command with 2, on stderr, and what was meant", async () => {
  const help = await runCli([]);
  expect(help).toMatchObject({ code: 0, err: "" });
  expect(help.out).toContain("ritmo build run hello --branch main --watch");
  expect(await runCli(["build", "run", "--help"])).toMatchObject({
    code: 0,
    out: expect.stringContaining("--branch <branch>"),
  });
  expect(await runCli(["--version"])).toMatchObject({ code: 0, out: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) });
  const noun = await runCli(["bild"]);
  expect(noun).toMatchObject({ code: 2, out: "", err: expect.stringContaining("Did you mean build?") });
  expect(await runCli(["build", "lst"])).toMatchObject({
    code: 2,
    err: expect.stringContaining("Did you mean one of list, ls?"),
  });
  expect(await runCli(["build", "list", "--jb", "x"])).toMatchObject({
    code: 2,
    err: expect.stringContaining("--job"),
  });
  expect(await runCli(["build", "view"])).toMatchObject({ code: 2, err: expect.stringContaining("build") });
  expect(await runCli(["build", "run", "x", "--branch", "a", "--tag", "b"])).toMatchObject({ code: 2 });
});

test("an unreachable server: its address, where that came from, and how to start one", async () => {
  using home = makeHome({ RITMO_SERVER: "http://127.0.0.1:1", RITMO_TOKEN: "rt_x" });
  const { code, err, out } = await runCli(["build", "list"], { env: home.env });
  expect(code).toBe(1);
  expect(out).toBe("");
  expect(err).toContain("http://127.0.0.1:1 (from RITMO_SERVER)");
  expect(err).toContain("npm start");
});

test("signed out, unknown to the server, or without the scope: 4", async () => {
  await using server = await startFakeServer((router) =>
    router.service(JobService, {
      listJobs: () => {
        throw refusal(Code.PermissionDenied, "SCOPE_MISSING", "this needs the scope read");
      },
    }),
  );
  using home = makeHome();
  const out = await runCli(["job", "list", "--server", server.url], { env: home.env });
  expect(out).toMatchObject({ code: 4, err: expect.stringContaining("ritmo auth login") });
  expect(server.calls).toEqual([]);
  const unknown = await runCli(["job", "list", "--server", server.url, "--token", "rt_wrong"], { env: home.env });
  expect(unknown).toMatchObject({ code: 4, err: expect.stringContaining("TOKEN_UNKNOWN") });
  const scope = await runCli(["job", "list"], { env: { ...home.env, ...server.env } });
  expect(scope).toMatchObject({ code: 4, err: expect.stringContaining("this needs the scope read. (SCOPE_MISSING") });
});

test("a refusal is one paragraph with its reason, the fields and what to do; no stack", async () => {
  await using server = await startFakeServer((router) => {
    router.service(JobService, {
      createJob: () => {
        throw refusal(Code.InvalidArgument, "FIELD_INVALID", "the pipeline does not parse", {
          "job.pipeline_text": "line 3, column 5: \u001b[2Jno key",
        });
      },
    });
    router.service(BuildService, {
      getBuild: () => {
        throw refusal(Code.NotFound, "BUILD_NOT_FOUND", "no build is named hello#9");
      },
      listBuilds: () => {
        throw new ConnectError("internal error", Code.Internal);
      },
    });
  });
  const bad = await runCli(["job", "create", "x", "--repo", "https://example.com/x.git"], { env: server.env });
  expect(bad.code).toBe(1);
  expect(bad.err).toContain("job.pipeline_text: line 3, column 5: \\x1b[2Jno key");
  const missing = await runCli(["build", "view", "hello#9"], { env: server.env });
  expect(missing.err).toContain("BUILD_NOT_FOUND");
  expect(missing.err).toContain("ritmo build list");
  const broken = await runCli(["build", "list"], { env: server.env });
  expect(broken.err).toContain("fault of the server");
  for (const { err } of [bad, missing, broken]) expect(err).not.toMatch(/\n\s+at /);
});

test("what to do is told once, and a name keeps its small letter", async () => {
  const told = {
    JOB_PAUSED: "hello is paused and takes no builds; `ritmo job resume hello` ends that",
    JOB_BUSY: "hello#3 is not over; cancel what is pending or running first",
    JOB_EXISTS: "a job named hello exists; choose another name",
    REVISION_MISMATCH: "hello was changed since revision 1; it is at 2. Read it again, then change it",
  };
  for (const [reason, message] of Object.entries(told)) {
    await using server = await startFakeServer((router) =>
      router.service(JobService, {
        updateJob: () => {
          throw refusal(Code.FailedPrecondition, reason, message);
        },
      }),
    );
    const { err } = await runCli(["job", "pause", "hello"], { env: server.env });
    expect(err.startsWith(`ritmo: ${message}. (${reason}, from ${server.url})`)).toBe(true);
    for (const remedy of ["job resume", "choose another", "cancel", "again"])
      expect(err.split(remedy).length).toBeLessThanOrEqual(2);
  }
});

test("an option that names something is not empty, as with a variable that is not set; what may be is", async () => {
  await using server = await startFakeServer((router) => {
    router.service(BuildService, {
      createBuild: () => ({ build: { name: "hello#1" } }),
      cancelBuild: () => ({ build: { name: "hello#1" } }),
    });
    router.service(JobService, { updateJob: () => ({ job: { name: "hello" } }) });
  });
  const { env } = server;
  for (const line of [
    ["build", "run", "hello", "--branch", ""],
    ["build", "run", "hello", "--tag="],
    ["build", "run", "hello", "-c", ""],
    ["build", "list", "--job", ""],
    ["build", "retry", "hello#1", "--step", "a", ""],
    ["build", "logs", "hello#1", "--step", ""],
    ["job", "edit", "hello", "--name", ""],
    ["job", "create", "x", "--repo", ""],
    ["--server", "", "build", "list"],
  ])
    expect(await runCli(line, { env })).toMatchObject({ code: 2, err: expect.stringContaining("empty") });
  expect(server.calls).toEqual([]);
  expect(await runCli(["build", "run", "hello", "--branch", "main"], { env })).toMatchObject({ code: 0 });
  expect(await runCli(["build", "cancel", "hello#1", "--reason", ""], { env })).toMatchObject({ code: 0 });
  expect(await runCli(["job", "edit", "hello", "--description", ""], { env })).toMatchObject({ code: 0 });
});

test("what would be ignored is refused: watching without --watch, fields of a stream, half a revision", async () => {
  const env = { RITMO_SERVER: "http://127.0.0.1:1", RITMO_TOKEN: "rt_x" };
  for (const [line, says] of [
    [["build", "run", "hello", "--timeout", "5s"], "--watch"],
    [["build", "run", "hello", "--no-logs"], "--watch"],
    [["build", "retry", "hello#1", "--timeout", "5s"], "--watch"],
    [["build", "run", "hello", "--watch", "--json", "nope,name"], "nope,name"],
    [["build", "retry", "hello#1", "--watch", "--json", "name"], "no fields"],
    [["build", "watch", "hello#1", "--json", "name"], "argument"],
    [["build", "logs", "hello#1", "--json", "text"], "argument"],
    [["event", "watch", "--count", "0"], "--count"],
    [["job", "edit", "hello", "--revision", "abc"], '--revision "abc" is not a number'],
    [["job", "create", "hello"], "--repo"],
  ] as const)
    expect(await runCli([...line], { env })).toMatchObject({ code: 2, out: "", err: expect.stringContaining(says) });
});

test("what answers and is not Ritmo is told", async () => {
  const page = createServer((_request, response) =>
    response.writeHead(404, { "content-type": "text/html" }).end("<h1>no</h1>"),
  );
  await new Promise<void>((resolve) => page.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(page.address() as AddressInfo).port}`;
  const { code, err } = await runCli(["job", "list"], { env: { RITMO_SERVER: url, RITMO_TOKEN: "x" } });
  expect(code).toBe(1);
  expect(err).toContain("it is not Ritmo");
  page.close();
});

test("a mutation keeps its request_id while it is repeated for UNAVAILABLE, and another has another", async () => {
  let left = 2;
  await using server = await startFakeServer((router) =>
    router.service(BuildService, {
      createBuild: () => {
        if (left-- > 0) throw new ConnectError("starting", Code.Unavailable);
        return { build: { name: "hello#1" } };
      },
    }),
  );
  const first = await runCli(["build", "run", "hello"], { env: server.env });
  expect(first).toMatchObject({ code: 0, out: "hello#1\n" });
  const ids = server.calls.map((call) => call.requestId);
  expect(ids).toHaveLength(3);
  expect(new Set(ids).size).toBe(1);
  expect(ids[0]).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4/);
  await runCli(["build", "run", "hello"], { env: server.env });
  expect(server.calls.at(-1)?.requestId).not.toBe(ids[0]);
});

test("UNAVAILABLE for good is given up", async () => {
  await using server = await startFakeServer((router) =>
    router.service(BuildService, {
      cancelBuild: () => {
        throw new ConnectError("the database is away", Code.Unavailable);
      },
    }),
  );
  const { code, err } = await runCli(["build", "cancel", "hello#1"], { env: server.env });
  expect(code).toBe(1);
  expect(err).toContain("the database is away.");
  expect(server.calls).toHaveLength(4);
});

test("what can't be undone is not done without --yes where nobody can be asked", async () => {
  await using server = await startFakeServer((router) => router.service(JobService, { deleteJob: () => ({}) }));
  expect(await runCli(["job", "delete", "hello"], { env: server.env })).toMatchObject({
    code: 2,
    err: expect.stringContaining("--yes"),
  });
  expect(server.calls).toEqual([]);
  expect(await runCli(["job", "delete", "hello", "--yes"], { env: server.env })).toMatchObject({ code: 0 });
  const asked = { env: server.env, stdinIsTty: true };
  expect(await runCli(["job", "delete", "hello"], { ...asked, stdin: "n\n" })).toMatchObject({ code: 1 });
  expect(await runCli(["job", "delete", "hello"], { ...asked, stdin: "y\n" })).toMatchObject({ code: 0 });
  expect(server.calls).toHaveLength(2);
});
