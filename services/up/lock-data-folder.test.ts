import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { lockDataFolder } from "./lock-data-folder.ts";
import { prepareFolder } from "./prepare-folder.ts";
import { identifyProcess } from "./process-identity.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "ritmo-lock-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test("the second one is refused and told who the first is; after a release it gets in", () => {
  const first = lockDataFolder(folder);
  expect(() => lockDataFolder(folder)).toThrow(
    `already running on this data folder: process ${process.pid}. Stop it (Ctrl-C there, or kill ${process.pid})`,
  );
  first.tell("http://127.0.0.1:7480");
  expect(() => lockDataFolder(folder)).toThrow(`process ${process.pid}, http://127.0.0.1:7480.`);
  first.release();
  lockDataFolder(folder).release();
  expect(readdirSync(folder)).toEqual([]);
});

test("what a killed process left is taken over", async () => {
  const child = spawn("sleep", ["100"], { stdio: "ignore" });
  const left = JSON.stringify({ ...identifyProcess(child.pid as number), address: "http://127.0.0.1:1" });
  writeFileSync(join(folder, "lock"), left);
  // The control: as long as it lives, it holds the folder.
  expect(() => lockDataFolder(folder)).toThrow(`process ${child.pid}`);
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGKILL");
  await ended;
  const lock = lockDataFolder(folder);
  expect(JSON.parse(readFileSync(join(folder, "lock"), "utf8")).pid).toBe(process.pid);
  lock.release();
});

test("a later process of the same number is not the one that held it", () => {
  writeFileSync(join(folder, "lock"), JSON.stringify({ pid: process.pid, startedAt: "1@another-boot" }));
  lockDataFolder(folder).release();
});

test("half a lock, as a full disk leaves it, locks nothing", () => {
  writeFileSync(join(folder, "lock"), '{"pid": 12');
  lockDataFolder(folder).release();
});

test("a data folder that is a file, or lies under one: one line with the way out", () => {
  const file = join(folder, "file");
  writeFileSync(file, "");
  const line = `The data folder ${file} can't be written: it is not a folder. Make it writable, or name another one in RITMO_DATA_DIR.`;
  expect(() => prepareFolder(file)).toThrow(line);
  expect(() => prepareFolder(join(file, "in"))).toThrow("it is not a folder");
  expect(prepareFolder(join(folder, "new", "deep"))).toBe(join(folder, "new", "deep"));
});
