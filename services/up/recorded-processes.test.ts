import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { identifyProcess } from "./process-identity.ts";
import { openRecordedProcesses } from "./recorded-processes.ts";

let folder: string;
let path: string;
const children: ChildProcess[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "ritmo-records-"));
  path = join(folder, "processes.json");
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

function start(): { pid: number; ended: Promise<unknown> } {
  const child = spawn("sleep", ["100"], { detached: true, stdio: "ignore" });
  children.push(child);
  return { pid: child.pid as number, ended: new Promise((resolve) => child.once("exit", resolve)) };
}

test("what an earlier start recorded and left is ended, once", async () => {
  const left = start();
  openRecordedProcesses(path).add("worker", left.pid);
  const later = openRecordedProcesses(path);
  expect(await later.endLeftovers()).toEqual(["worker"]);
  await left.ended;
  expect(await later.endLeftovers()).toEqual([]);
  expect(JSON.parse(readFileSync(path, "utf8"))).toEqual([]);
});

test("a process of a recorded number that started at another time is not touched", async () => {
  const stranger = start();
  writeFileSync(path, JSON.stringify([{ name: "worker", pid: stranger.pid, startedAt: "1@another-boot" }]));
  expect(await openRecordedProcesses(path).endLeftovers()).toEqual([]);
  expect(identifyProcess(stranger.pid)).toBeDefined();
});

test("one that was seen to end is forgotten; a damaged record is as good as none", async () => {
  const one = start();
  const records = openRecordedProcesses(path);
  records.add("worker", one.pid);
  records.remove(one.pid);
  expect(await openRecordedProcesses(path).endLeftovers()).toEqual([]);
  for (const text of ["", "[", "{}", '[{"pid":-1}]', '[{"pid":1,"startedAt":"x"}]']) {
    writeFileSync(path, text);
    expect(await openRecordedProcesses(path).endLeftovers()).toEqual([]);
  }
  expect(identifyProcess(one.pid)).toBeDefined();
});
