import { BuildState, StepState } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import { expect, test, vi } from "vitest";
import { fakeBuild } from "../testing/fake-build.ts";
import { runCli } from "../testing/run-cli.ts";
import { startFakeServer } from "../testing/start-fake-server.ts";

const RAW = Buffer.concat([
  Buffer.from("one\r\n\u001b[31mtwo\u001b[0m\n"),
  Buffer.from([0xff, 0x00, 10]),
  Buffer.from(`${"long ".repeat(20)}\nfive`),
]);

async function twoSteps() {
  const fake = fakeBuild(["compile", "test"], { state: BuildState.FAILURE });
  fake.step("compile", StepState.SUCCESS);
  fake.step("test", StepState.FAILURE, { exitCode: 3 });
  fake.log("compile@1", "fine\n");
  fake.log("test@1", RAW);
  fake.endLog("test@1");
  return { fake, server: await startFakeServer(fake.routes) };
}

test("--raw is byte for byte what the step wrote", async () => {
  const { server } = await twoSteps();
  await using _ = server;
  const { code, bytes } = await runCli(["build", "logs", "hello#1", "--step", "test", "--raw"], { env: server.env });
  expect(code).toBe(0);
  expect(bytes.equals(RAW)).toBe(true);
  const several = await runCli(["build", "logs", "hello#1", "--raw"], { env: server.env });
  expect(several).toMatchObject({ code: 2, out: "", err: expect.stringContaining("compile, test") });
});

test("without --raw nothing of it reaches the terminal but text; several steps stand behind their names", async () => {
  const { server } = await twoSteps();
  await using _ = server;
  const one = await runCli(["build", "logs", "hello#1/test"], { env: server.env });
  expect(one.out).toBe(`one\ntwo\n\ufffd␀\n${"long ".repeat(20)}\nfive\n`);
  const both = await runCli(["build", "logs", "hello#1"], { env: server.env });
  expect(both.out).toContain("compile | fine\n");
  expect(both.out).toContain("test    | two\n");
  const failed = await runCli(["build", "logs", "hello#1", "--failed"], { env: server.env });
  expect(failed.out).toBe(one.out);
});

test("a span of lines: by option, or by the anchor of a pasted address", async () => {
  const { server } = await twoSteps();
  await using _ = server;
  const lines = await runCli(["build", "logs", "hello#1", "-s", "test", "--lines", "2-4", "--raw"], {
    env: server.env,
  });
  expect(lines.out.split("\n")).toHaveLength(4);
  expect(lines.out.endsWith(`${"long ".repeat(20)}\n`)).toBe(true);
  const pasted = await runCli(["build", "logs", `${server.url}/jobs/hello/builds/1?step=test&attempt=1#L2-L3`], {
    env: server.env,
  });
  expect(pasted.out).toBe("two\n\ufffd␀\n");
  const toEnd = await runCli(["build", "logs", "hello#1", "-s", "test", "--lines", "5-"], { env: server.env });
  expect(toEnd.out).toBe("five\n");
  for (const bad of ["0", "x", "9-3", "1-2-3"]) {
    expect(await runCli(["build", "logs", "hello#1", "-s", "test", "--lines", bad], { env: server.env })).toMatchObject(
      { code: 2 },
    );
  }
});

test("logs of a build are asked for by the ids of its steps, whatever their names mean by now", async () => {
  const { fake, server } = await twoSteps();
  await using _ = server;
  fake.endLog("compile@1");
  for (const step of fake.steps.values()) step.name = `gone#1/${step.key}`;
  const all = await runCli(["build", "logs", "bld_1"], { env: server.env });
  expect(all).toMatchObject({ code: 0, out: expect.stringContaining("compile | fine\n") });
  const first = ["build", "logs", "bld_1", "--step", "compile", "--attempt"];
  expect(await runCli([...first, "1", "--follow"], { env: server.env })).toMatchObject({ code: 0, out: "fine\n" });
  expect(fake.followed).toEqual([{ name: "att_compile@1", offset: 0 }]);
  expect(await runCli([...first, "4"], { env: server.env })).toMatchObject({
    code: 1,
    err: expect.stringContaining("Its attempts: 1."),
  });
});

test("--timestamps: before each line when it was read, stored or followed, of a span or of several steps", async () => {
  const fake = fakeBuild(["compile", "test"], { state: BuildState.FAILURE });
  fake.step("compile", StepState.SUCCESS);
  fake.step("test", StepState.RUNNING);
  fake.log("compile@1", "untimed\n");
  fake.endLog("compile@1");
  fake.log("test@1", "one\ntw", "2026-01-02T03:04:05.678Z");
  fake.log("test@1", "o\r\nthree, longer than one answer\n", "2026-01-02T03:04:06Z");
  fake.log("test@1", "four", "2026-01-02T03:04:07Z");
  await using server = await startFakeServer(fake.routes);
  const { env } = server;
  const first = "2026-01-02T03:04:05.678Z one\n2026-01-02T03:04:05.678Z two\n";
  const third = "2026-01-02T03:04:06.000Z three, longer than one answer\n";
  const whole = `${first}${third}2026-01-02T03:04:07.000Z four\n`;
  const logs = (...more: string[]) => runCli(["build", "logs", "hello#1", ...more], { env });
  expect((await logs("-s", "test", "--timestamps")).out).toBe(whole);
  expect((await logs("-s", "test", "-t", "--lines", "3")).out).toBe(third);
  const several = await logs("-t");
  expect(several.out).toContain(`compile | ${"-".padEnd(24)} untimed\n`);
  expect(several.out).toContain("test    | 2026-01-02T03:04:05.678Z two\n");
  const json = await logs("-s", "test", "--json");
  expect(JSON.parse(json.out.split("\n")[2] ?? "")).toMatchObject({ at: "2026-01-02T03:04:06.000Z" });
  const followed = logs("-s", "test", "-t", "--follow");
  await vi.waitFor(() => expect(fake.followed).toHaveLength(1));
  fake.log("test@1", "\nfive\n", "2026-01-02T03:04:08Z");
  fake.endLog("test@1");
  expect((await followed).out).toBe(`${whole}2026-01-02T03:04:08.000Z five\n`);
  for (const other of ["--raw", "--grep=x"])
    expect(await logs("-s", "test", "-t", other)).toMatchObject({ code: 2, err: expect.stringContaining("--raw") });
});

test("--grep prints numbers and lines, NDJSON when asked", async () => {
  const { server } = await twoSteps();
  await using _ = server;
  const found = await runCli(["build", "logs", "hello#1", "--grep", "fi[nv]e"], { env: server.env });
  expect(found.out).toBe("compile:1:fine\ntest:5:five\n");
  const json = await runCli(["build", "logs", "hello#1", "-s", "test", "--grep", "five", "--json"], {
    env: server.env,
  });
  expect(JSON.parse(json.out)).toMatchObject({ type: "hit", line: 5, text: "five" });
  expect(await runCli(["build", "logs", "hello#1", "--grep", "x", "--follow"], { env: server.env })).toMatchObject({
    code: 2,
  });
});

test("--follow goes on until the step is over", async () => {
  const fake = fakeBuild(["test"]);
  fake.step("test", StepState.RUNNING);
  fake.log("test@1", "one\n");
  await using server = await startFakeServer(fake.routes);
  let seen = "";
  const ran = runCli(["build", "logs", "hello#1", "--follow"], { env: server.env, onOut: (out) => (seen = out) });
  await vi.waitFor(() => expect(seen).toBe("one\n"));
  fake.log("test@1", "two\n");
  fake.endLog("test@1");
  expect(await ran).toMatchObject({ code: 0, out: "one\ntwo\n" });
});

test("a step that is not there, and a build in which nothing has begun, are told", async () => {
  const fake = fakeBuild(["test"]);
  await using server = await startFakeServer(fake.routes);
  expect(await runCli(["build", "logs", "hello#1", "--step", "tset"], { env: server.env })).toMatchObject({
    code: 1,
    err: expect.stringContaining("Its steps: test"),
  });
  expect(await runCli(["build", "logs", "hello#1"], { env: server.env })).toMatchObject({
    code: 1,
    err: expect.stringContaining("has begun"),
  });
});
