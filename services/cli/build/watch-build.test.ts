import { BuildState, StepState } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import { expect, test, vi } from "vitest";
import { fakeBuild } from "../testing/fake-build.ts";
import { makeHome, runCli } from "../testing/run-cli.ts";
import { startFakeServer } from "../testing/start-fake-server.ts";

test("a green build: its log on stdout, its story on stderr, exit 0", async () => {
  const fake = fakeBuild(["compile"]);
  await using server = await startFakeServer(fake.routes);
  const ran = runCli(["build", "run", "hello", "--branch", "main", "--watch"], { env: server.env });
  await vi.waitFor(() => expect(server.calls.some((c) => c.method === "Watch")).toBe(true));
  fake.step("compile", StepState.RUNNING);
  fake.log("compile@1", "one\ntw");
  fake.log("compile@1", "o\n");
  fake.endLog("compile@1");
  fake.step("compile", StepState.SUCCESS, { exitCode: 0 });
  fake.state(BuildState.SUCCESS);
  const { code, out, err } = await ran;
  expect(out).toBe("one\ntwo\n");
  expect(err).toContain("✓ compile success");
  expect(err).toContain("✓ hello#1 success");
  expect(code).toBe(0);
});

test("a red build: lines behind their steps, the command that shows the failing log, exit 9", async () => {
  const fake = fakeBuild(["compile", "test"]);
  await using server = await startFakeServer(fake.routes);
  const ran = runCli(["build", "run", "hello", "-w"], { env: server.env });
  await vi.waitFor(() => expect(server.calls.some((c) => c.method === "Watch")).toBe(true));
  fake.step("compile", StepState.RUNNING);
  fake.log("compile@1", "fine");
  fake.endLog("compile@1");
  fake.step("compile", StepState.SUCCESS);
  fake.step("test", StepState.RUNNING);
  fake.log("test@1", "not\nfine\n");
  fake.endLog("test@1");
  fake.step("test", StepState.FAILURE, { exitCode: 3 });
  fake.state(BuildState.FAILURE, { cause: "test exited with code 3" });
  const { code, out, err } = await ran;
  expect(out.split("\n").sort()).toEqual(["", "compile | fine", "test    | fine", "test    | not"]);
  expect(err).toContain("✗ test failure, exit code 3");
  expect(err).toContain("test exited with code 3");
  expect(err).toContain("ritmo build logs hello#1 --step test");
  expect(code).toBe(9);
});

test("a watch outlives broken connections and a restart, each byte once", async () => {
  const fake = fakeBuild(["compile"]);
  await using server = await startFakeServer(fake.routes);
  let seen = "";
  const ran = runCli(["build", "run", "hello", "-w"], { env: server.env, onOut: (out) => (seen = out) });
  await vi.waitFor(() => expect(server.calls.some((c) => c.method === "Watch")).toBe(true));
  fake.step("compile", StepState.RUNNING);
  fake.log("compile@1", "before\n");
  await vi.waitFor(() => expect(seen).toBe("before\n"));
  await server.stop();
  fake.log("compile@1", "meanwhile\n");
  await server.start();
  await vi.waitFor(() => expect(seen).toBe("before\nmeanwhile\n"), { timeout: 20_000 });
  server.drop();
  fake.log("compile@1", "after\n");
  fake.endLog("compile@1");
  fake.step("compile", StepState.SUCCESS);
  fake.state(BuildState.SUCCESS);
  const { code, out, err } = await ran;
  expect(out).toBe("before\nmeanwhile\nafter\n");
  expect(err).toContain("The connection is lost");
  expect(err).toContain("Connected again.");
  expect(fake.followed.some(({ offset }) => offset === 7)).toBe(true);
  expect(code).toBe(0);
});

test("a build that was opened again is followed to its next end", async () => {
  const fake = fakeBuild(["test"]);
  await using server = await startFakeServer(fake.routes);
  const ran = runCli(["build", "run", "hello", "-w"], { env: server.env });
  await vi.waitFor(() => expect(server.calls.some((c) => c.method === "Watch")).toBe(true));
  fake.step("test", StepState.RUNNING);
  fake.log("test@1", "first\n");
  fake.endLog("test@1");
  fake.step("test", StepState.FAILURE, { exitCode: 1 });
  // The end and the reopening lie in one answer, as after a broken connection.
  fake.state(BuildState.FAILURE);
  fake.state(BuildState.RUNNING);
  fake.step("test", StepState.RUNNING, { attempt: 2 });
  fake.log("test@2", "second\n");
  fake.endLog("test@2");
  fake.step("test", StepState.SUCCESS, { exitCode: 0 });
  fake.state(BuildState.SUCCESS);
  const { code, out, err } = await ran;
  expect(out).toBe("first\nsecond\n");
  expect(err).toContain("test success (attempt 2)");
  expect(code).toBe(0);
});

test("a build that is named by its id is followed by ids alone: its job's name may be another's by now", async () => {
  const fake = fakeBuild(["test"], { name: "gone#1" });
  await using server = await startFakeServer(fake.routes);
  const ran = runCli(["build", "watch", "bld_1"], { env: server.env });
  await vi.waitFor(() => expect(server.calls.some((c) => c.method === "Watch")).toBe(true));
  fake.step("test", StepState.RUNNING);
  fake.log("test@1", "no\n");
  fake.endLog("test@1");
  fake.step("test", StepState.FAILURE, { exitCode: 3 });
  fake.state(BuildState.FAILURE);
  const { code, out, err } = await ran;
  expect({ code, out }).toEqual({ code: 9, out: "no\n" });
  expect(fake.followed).toEqual([{ name: "att_test@1", offset: 0 }]);
  expect(err).toContain("ritmo build logs bld_1 --step test");
  expect((await runCli(["build", "view", "bld_1"], { env: server.env })).out).toContain("ritmo build retry bld_1");
});

test("what was over before is not told again; a build that is over answers at once", async () => {
  const fake = fakeBuild(["compile", "test"]);
  fake.step("compile", StepState.SUCCESS);
  fake.step("test", StepState.FAILURE, { exitCode: 3 });
  fake.log("test@1", "old\n");
  fake.endLog("test@1");
  fake.state(BuildState.FAILURE);
  await using server = await startFakeServer(fake.routes);
  const { code, out } = await runCli(["build", "watch", "hello#1"], { env: server.env });
  expect(out).toBe("");
  expect(code).toBe(9);
});

test("--timeout gives up with 3, Ctrl-C with 130, and both say that the build goes on", async () => {
  const fake = fakeBuild(["compile"]);
  await using server = await startFakeServer(fake.routes);
  const late = await runCli(["build", "watch", "hello#1", "--timeout", "300ms"], { env: server.env });
  expect(late.code).toBe(3);
  expect(late.err).toContain("the build goes on");
  const interrupt = new AbortController();
  const ran = runCli(["build", "watch", "hello#1"], { env: server.env, signal: interrupt.signal });
  await vi.waitFor(() => expect(server.calls.filter((c) => c.method === "Watch").length).toBeGreaterThan(1));
  interrupt.abort();
  const { code, err } = await ran;
  expect(code).toBe(130);
  expect(err).toContain("The build goes on");
});

test("--json tells everything as one object a line, and nothing else on stdout", async () => {
  const fake = fakeBuild(["compile"]);
  await using server = await startFakeServer(fake.routes);
  const ran = runCli(["build", "run", "hello", "-w", "--json"], { env: server.env });
  await vi.waitFor(() => expect(server.calls.some((c) => c.method === "Watch")).toBe(true));
  fake.step("compile", StepState.RUNNING);
  fake.log("compile@1", "one\n\u001b[31mtwo");
  fake.endLog("compile@1");
  fake.step("compile", StepState.TIMEOUT);
  fake.state(BuildState.TIMEOUT);
  const { code, out } = await ran;
  const lines = out
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(lines[0]).toMatchObject({ type: "begin", build: { name: "hello#1" } });
  expect(lines.filter((l) => l.type === "log").map((l) => l.text)).toEqual(["one", "two"]);
  expect(lines).toContainEqual(expect.objectContaining({ type: "step", step: "compile", state: "TIMEOUT" }));
  expect(lines.at(-1)).toMatchObject({ type: "end", exitCode: 9, build: { state: "TIMEOUT" } });
  expect(code).toBe(9);
});

test.each([[], ["--json"]])("a reader that goes away ends the watch, and not as success %s", async (...more) => {
  const fake = fakeBuild(["compile"]);
  await using server = await startFakeServer(fake.routes);
  const { OutputClosed } = await import("../io.ts");
  const stdout = { write: () => Promise.reject(new OutputClosed()) };
  const ran = runCli(["build", "run", "hello", "-w", ...more], { env: server.env, stdout });
  await vi.waitFor(() => expect(server.calls.some((c) => c.method === "GetBuild")).toBe(true));
  fake.step("compile", StepState.RUNNING);
  fake.log("compile@1", "one\n");
  expect(await ran).toMatchObject({ code: 1, err: expect.not.stringContaining("ritmo:") });
});

test("a token that the server does not know ends with 4", async () => {
  const fake = fakeBuild(["compile"]);
  await using server = await startFakeServer(fake.routes);
  using home = makeHome();
  const { code, err } = await runCli(["build", "watch", "hello#1"], {
    env: { ...home.env, RITMO_SERVER: server.url, RITMO_TOKEN: "rt_bad" },
  });
  expect(code).toBe(4);
  expect(err).toContain("TOKEN_UNKNOWN");
});
