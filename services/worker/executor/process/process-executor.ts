import { type ChildProcess, spawn } from "node:child_process";
import { closeSync } from "node:fs";
import type { Duplex } from "node:stream";
import type { Logger } from "../../../process/logger.ts";
import { sleep } from "../../../process/wait.ts";
import { BrokenStep, type Executor, type RunEnd, type Running, type Work } from "../executor.ts";
import { chooseShell, type Shell } from "./choose-shell.ts";
import { endTree } from "./end-tree.ts";
import { markOf, type ProcessMark, type Tree } from "./find-processes.ts";
import { type PipeStock, pipeStock } from "./pipe-stock.ts";
import { type OutputReader, readOutput } from "./read-output.ts";
import { countMemoryKills } from "./watch-memory.ts";
import { writeScript } from "./write-script.ts";

// What a step leaves running when its commands have ended gets so long to write its last words.
const LINGER_MS = 1_000;
const LINGER_GRACE_MS = 1_000;

/** Runs commands as processes of this machine, in a session and process group of their own. */
export function processExecutor({ pipesDir, log }: { pipesDir: string; log: Logger }): Executor {
  const pipes = pipeStock(pipesDir);
  return {
    name: "process",
    start: (work) => start(work, pipes, log),
    async endLeftovers({ leaseId, folders, remembered }) {
      const leader = remembered["leader"] as ProcessMark | undefined;
      await endTree({ leaseId, leader, folder: folders.root }, 0);
    },
  };
}

async function start(work: Work, pipes: PipeStock, log: Logger): Promise<Running> {
  const shell = await chooseShell(work.shell, work.env["PATH"] ?? "");
  const [script, { readFd, writeFd }] = await Promise.all([
    writeScript(work.folders.script, shell, work.run),
    pipes.take(),
  ]);
  const memoryKills = countMemoryKills();
  const startedAtMs = Date.now();
  const child = await spawnShell(work, shell, script, writeFd).finally(() => closeSync(writeFd));
  const pid = child.pid as number;
  const leader = markOf(pid) ?? { pid, startTicks: 0 };
  const tree: Tree = { leaseId: work.leaseId, leader, folder: work.folders.root };
  const output = readOutput(readFd, work.log);
  const entries = followEntries(child, work, shell, output);
  let stopping: Promise<unknown> | undefined;

  const ended = exitOf(child).then(async ({ code, signal }): Promise<RunEnd> => {
    const endedAtMs = Date.now();
    await stopping;
    await endStragglers(tree, output, log);
    entries.close();
    work.log.endEntry();
    const how = howItEnded(code, signal, countMemoryKills() > memoryKills);
    const failed = how.kind !== "exited" || how.code !== 0;
    return { how, startedAtMs, endedAtMs, failedEntry: failed ? entries.current() : 0 };
  });
  return {
    remember: { leader },
    ended,
    stop(graceMs) {
      stopping ??= endTree(tree, graceMs);
    },
  };
}

function spawnShell(work: Work, shell: Shell, script: string, writeFd: number): Promise<ChildProcess> {
  return new Promise((resolve, reject) => {
    const broken = (reason: Error) =>
      reject(new BrokenStep("SHELL_NOT_STARTED", `${shell.path} can't be started: ${reason.message}`));
    try {
      const child = spawn(shell.path, [...shell.args, script], {
        cwd: work.folders.workspace,
        env: work.env,
        detached: true,
        stdio: ["ignore", writeFd, writeFd, "pipe"],
      });
      child.once("spawn", () => resolve(child));
      child.once("error", broken);
    } catch (reason) {
      // Such as a NUL in a value of the environment.
      broken(reason as Error);
    }
  });
}

function exitOf(child: ChildProcess): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
  return new Promise((resolve) => child.once("exit", (code, signal) => resolve({ code, signal })));
}

function howItEnded(code: number | null, signal: string | null, memoryKill: boolean): RunEnd["how"] {
  // 137 is how a shell tells that a command of its was ended by KILL.
  if (memoryKill && (signal === "SIGKILL" || code === 137)) return { kind: "out of memory" };
  return signal ? { kind: "signalled", signal } : { kind: "exited", code: code ?? 0 };
}

/** Hears from the script which entry begins, and lets it go on when the output up to there is read. */
function followEntries(child: ChildProcess, { run, log }: Work, shell: Shell, output: OutputReader) {
  let current = 0;
  const channel = child.stdio[3] as Duplex;
  // A step that ends while it is answered closes the channel under the answer.
  channel.on("error", () => {});
  const begin = (entry: number) => {
    current = entry;
    log.beginEntry(nameOf(run[entry - 1] ?? ""), entry);
  };
  if (!shell.posix && run.length === 1) begin(1);
  channel.on("data", async () => {
    // The step waits for the answer, so one message is one entry.
    await output.catchUp();
    begin(current + 1);
    channel.write("\n");
  });
  return { current: () => current, close: () => channel.destroy() };
}

function nameOf(entry: string): string {
  const first = entry.split("\n").find((line) => line.trim() !== "") ?? "";
  return first.trim().slice(0, 200);
}

/** Waits for the pipe's end, ends what still holds it after a moment, and reads what was written until then. */
async function endStragglers(tree: Tree, output: OutputReader, log: Logger): Promise<void> {
  const over = new AbortController();
  await Promise.race([output.closed, sleep(LINGER_MS, over.signal)]);
  over.abort();
  const left = await endTree(tree, LINGER_GRACE_MS);
  if (left.length > 0)
    log.warn({ leaseId: tree.leaseId, pids: left.map(({ pid }) => pid) }, "processes can't be ended");
  await output.finish();
}
