import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { BuildState, StepState } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import { expect, test, vi } from "vitest";
import { fakeBuild } from "./testing/fake-build.ts";
import { makeHome } from "./testing/run-cli.ts";
import { startFakeServer } from "./testing/start-fake-server.ts";

const BIN = join(import.meta.dirname, "bin.mjs");

/** Runs the bin as a shell would; `out` and `err` grow while it runs. */
function ritmo(argv: string[], env: Record<string, string | undefined> = {}, bin = BIN) {
  const child = spawn(process.execPath, [bin, ...argv], {
    env: { PATH: process.env["PATH"], ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ran = { child, out: "", err: "", over: once(child, "close").then(([code]) => code as number) };
  child.stdout.on("data", (data) => {
    ran.out += data;
  });
  child.stderr.on("data", (data) => {
    ran.err += data;
  });
  return ran;
}

test("help, a slip of the keys, and being signed out end with 0, 2 and 4", async () => {
  using home = makeHome();
  const [help, slip, out] = [ritmo(["--help"], home.env), ritmo(["bulid"], home.env), ritmo(["job", "list"], home.env)];
  expect(await Promise.all([help.over, slip.over, out.over])).toEqual([0, 2, 4]);
  expect(help.out).toContain("Usage: ritmo");
  expect(slip.err).toContain("Did you mean build?");
  expect(out.err).toContain("ritmo auth login");
});

test("a red build ends a watching process with 9, Ctrl-C with 130", async () => {
  const fake = fakeBuild(["test"]);
  await using server = await startFakeServer(fake.routes);
  const stopped = ritmo(["build", "watch", "hello#1"], server.env);
  const watching = ritmo(["build", "run", "hello", "--watch"], server.env);
  await vi.waitFor(() => expect(server.calls.filter((call) => call.method === "Watch")).toHaveLength(2), 10_000);
  stopped.child.kill("SIGINT");
  expect(await stopped.over).toBe(130);
  expect(stopped.err).toContain("The build goes on");
  fake.step("test", StepState.RUNNING);
  fake.log("test@1", "no\n");
  fake.endLog("test@1");
  fake.step("test", StepState.FAILURE, { exitCode: 3 });
  fake.state(BuildState.FAILURE);
  expect(await watching.over).toBe(9);
  expect(watching.out).toBe("no\n");
});

test("NO_COLOR beside FORCE_COLOR warns of nothing: FORCE_COLOR counts, unless it is empty", async () => {
  using home = makeHome({ NO_COLOR: "1" });
  const forced = ritmo(["config"], { ...home.env, FORCE_COLOR: "1" });
  const empty = ritmo(["config"], { ...home.env, FORCE_COLOR: "" });
  expect(await Promise.all([forced.over, empty.over])).toEqual([0, 0]);
  expect([forced.err, empty.err]).toEqual(["", ""]);
  expect([forced.out.includes("\u001b["), empty.out.includes("\u001b[")]).toEqual([true, false]);
});

test("`ritmo worker` leaves to the worker's program what is no verb of its own", async () => {
  using home = makeHome();
  const [config, unknown] = [ritmo(["worker", "config"], home.env), ritmo(["worker", "bogus", "-x"], home.env)];
  expect(await Promise.all([config.over, unknown.over])).toEqual([0, 2]);
  expect(config.out).toContain("RITMO_WORKER_TOKEN");
  expect(unknown.err).toMatch(/^ritmo worker: /);
});

test("a reader that has enough ends it quietly", async () => {
  const fake = fakeBuild(["test"]);
  fake.step("test", StepState.SUCCESS);
  fake.log("test@1", "line\n".repeat(200));
  fake.endLog("test@1");
  await using server = await startFakeServer(fake.routes);
  const reading = ritmo(["build", "logs", "hello#1", "--raw"], server.env);
  reading.child.stdout.once("data", () => reading.child.stdout.destroy());
  expect(await reading.over).toBe(0);
  expect(reading.err).toBe("");
});

test("without dependencies it says what to install", async () => {
  using home = makeHome();
  const bare = join(home.path, "services/cli");
  mkdirSync(bare, { recursive: true });
  cpSync(BIN, join(bare, "bin.mjs"));
  const ran = ritmo(["--help"], home.env, join(bare, "bin.mjs"));
  expect(await ran.over).toBe(1);
  expect(ran.err).toMatch(/^ritmo: its dependencies are not installed. Run `npm ci`.*\n$/);
});

test("the starter is plain enough for an old Node", () => {
  const text = readFileSync(BIN, "utf8");
  expect(text.startsWith("#!/usr/bin/env node\n")).toBe(true);
  // What Node 18 has not: these would fail before the line that says what is missing.
  expect(text).not.toMatch(/import\.meta\.(?:dirname|filename)|\bPromise\.withResolvers|\busing\b|with \{ type/);
});
