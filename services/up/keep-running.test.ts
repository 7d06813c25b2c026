import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type KeptPart, keepRunning } from "./keep-running.ts";
import { identifyProcess, isStillRunning, type ProcessIdentity } from "./process-identity.ts";
import { openRecordedProcesses, type RecordedProcesses } from "./recorded-processes.ts";

let folder: string;
let records: RecordedProcesses;
let said: string[];
const kept: KeptPart[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "ritmo-keep-"));
  records = openRecordedProcesses(join(folder, "processes.json"));
  said = [];
});
afterEach(async () => {
  for (const part of kept.splice(0)) {
    part.kill();
    await part.stop(0);
  }
  rmSync(folder, { recursive: true, force: true });
});

function keep(script: string): KeptPart {
  const env = { PATH: process.env["PATH"] };
  const part = {
    name: "worker",
    program: "sh",
    args: ["-c", script],
    env,
    logPath: join(folder, "logs", "worker.log"),
  };
  const running = keepRunning(part, { records, say: (line) => said.push(line) });
  kept.push(running);
  return running;
}
const recorded = (): ProcessIdentity[] => JSON.parse(readFileSync(join(folder, "processes.json"), "utf8"));

test("a part that dies is started again, with its last words in one line", async () => {
  const script = `[ -e ${folder}/died ] && exec sleep 100; touch ${folder}/died; echo 'the plug was pulled'; exit 7`;
  const part = keep(script);
  await vi.waitFor(() => expect(part.ends).toBe(1));
  await vi.waitFor(() => expect(recorded()).toHaveLength(1));
  expect(said).toEqual([
    `worker ended (exit code 7): the plug was pulled. Starting it again. Its log: ${folder}/logs/worker.log`,
  ]);
});

test("stop asks first; what does not listen is ended with its whole group, and none is started again", async () => {
  const polite = keep("trap 'echo bye; exit 0' TERM; while :; do sleep 0.05; done");
  await vi.waitFor(() => expect(recorded()).toHaveLength(1));
  await polite.stop(60_000);
  expect(readFileSync(join(folder, "logs", "worker.log"), "utf8")).toBe("bye\n");

  const stubborn = keep(`trap '' TERM; sleep 1000 & echo $! > ${folder}/grandchild; wait; wait`);
  await vi.waitFor(() => expect(readFileSync(join(folder, "grandchild"), "utf8")).toMatch(/\d+\n/));
  const [parent] = recorded();
  await stubborn.stop(50);
  expect(isStillRunning(parent as ProcessIdentity)).toBe(false);
  const grandchild = Number(readFileSync(join(folder, "grandchild"), "utf8"));
  await vi.waitFor(() => expect(identifyProcess(grandchild)).toBeUndefined());
  expect(recorded()).toEqual([]);
  expect(said).toEqual([]);
});

test("errors in the log are said, each once; the rest stays in the file", async () => {
  const error = JSON.stringify({ level: 50, msg: "the disk is full", err: { message: "ENOSPC" } });
  const info = JSON.stringify({ level: 30, msg: "hello" });
  writeFileSync(join(folder, "lines"), `${info}\n${error}\n${error}\n`);
  keep(`cat ${folder}/lines; exec sleep 100`);
  await vi.waitFor(() => expect(said).toEqual(["worker: the disk is full: ENOSPC"]));
});

test("a program that isn't there is said, and tried again", async () => {
  const part = { name: "worker", program: join(folder, "nothing"), args: [], env: {}, logPath: join(folder, "w.log") };
  const running = keepRunning(part, { records, say: (line) => said.push(line) });
  kept.push(running);
  await vi.waitFor(() => expect(said[0]).toContain("ENOENT"));
});
