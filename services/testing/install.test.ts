import { spawn } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";

const ROOT = join(import.meta.dirname, "../..");
const NODE_FOLDER = `node_modules/node-${process.platform}-${process.arch}/bin`;

let checkout: string;
let bin: string;

/** A checkout of nothing but the files that start it, with an npm and a git of this test's on PATH and no others. */
beforeEach(() => {
  checkout = mkdtempSync(join(tmpdir(), "ritmo-install-"));
  bin = join(checkout, "path");
  mkdirSync(bin);
  mkdirSync(join(checkout, "services/up"), { recursive: true });
  for (const name of ["install.mjs", "start.mjs"]) copyFileSync(join(ROOT, name), join(checkout, name));
  writeFileSync(join(checkout, "package-lock.json"), "{}");
  program("git", "exit 0");
  program(
    "npm",
    `echo "$@" >> ${checkout}/npm-calls; mkdir -p ${NODE_FOLDER}; ln -sf ${process.execPath} ${NODE_FOLDER}/node`,
  );
});
afterEach(() => rmSync(checkout, { recursive: true, force: true }));

function program(name: string, script: string): void {
  writeFileSync(join(bin, name), `#!/bin/sh\nPATH=/usr/bin:/bin\n${script}\n`);
  chmodSync(join(bin, name), 0o755);
}

function up(script: string): void {
  writeFileSync(join(checkout, "services/up/main.ts"), script);
}

function start(...args: string[]) {
  const child = spawn(process.execPath, [join(checkout, "start.mjs"), ...args], {
    env: { PATH: bin },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  let errors = "";
  child.stdout.on("data", (data) => (output += data));
  child.stderr.on("data", (data) => (errors += data));
  const ended = new Promise<{ code: number | null; output: string; errors: string }>((resolve) =>
    child.once("close", (code) => resolve({ code, output, errors })),
  );
  return { child, ended, output: () => output };
}

const npmCalls = () => readFileSync(join(checkout, "npm-calls"), "utf8").trim().split("\n").length;

test("installs once, again only for another lockfile, and goes on with the arguments", async () => {
  up("console.log(JSON.stringify(process.argv.slice(2)))");
  const first = await start("--listen", "a b").ended;
  expect(first).toMatchObject({ code: 0, output: '["--listen","a b"]\n' });
  expect(first.errors).toMatch(/^Installing what Ritmo needs .*\nInstalled in \d+ s\.\n$/);
  expect(await start().ended).toEqual({ code: 0, output: "[]\n", errors: "" });
  expect(npmCalls()).toBe(1);
  writeFileSync(join(checkout, "package-lock.json"), '{"changed": true}');
  expect((await start().ended).code).toBe(0);
  expect(npmCalls()).toBe(2);
});

test("an npm that fails: its first error in one line, and the next start tries again", async () => {
  program("npm", 'echo "npm error code ENOTFOUND\nnpm error no such host: registry.invalid" >&2; exit 1');
  up("");
  const { code, errors } = await start().ended;
  expect(code).toBe(1);
  expect(errors.trim().split("\n").slice(1)).toEqual([
    "npm ci failed: no such host: registry.invalid. Run `npm ci` to see all it says.",
  ]);
  expect(existsSync(join(checkout, "node_modules/.ritmo-lock"))).toBe(false);
});

test.each(["git", "npm"])("no %s: one line", async (name) => {
  rmSync(join(bin, name));
  up("");
  const { code, errors } = await start().ended;
  expect(code).toBe(1);
  expect(errors.trim().split("\n").at(-1)).toMatch(new RegExp(`^${name} is not on PATH\\.`));
});

test("signals are passed on, and the exit code comes back", async () => {
  up(`process.on("SIGINT", () => process.exit(42)); setInterval(() => {}, 1000); console.log("up");`);
  const one = start();
  await expect.poll(one.output).toBe("up\n");
  one.child.kill("SIGINT");
  expect((await one.ended).code).toBe(42);
});

test("a start that is killed is known of to what it started", async () => {
  up(
    `process.once("disconnect", () => console.log("alone")); setTimeout(() => {}, 20_000).unref(); console.log("up");`,
  );
  const one = start();
  await expect.poll(one.output).toBe("up\n");
  one.child.kill("SIGKILL");
  await expect.poll(one.output).toBe("up\nalone\n");
});
