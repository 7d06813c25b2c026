import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, renameSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { sleep } from "../process/wait.ts";
import { killGroup, type RecordedProcesses } from "./recorded-processes.ts";
import { showPath } from "./show-path.ts";
import { lastWords, tailErrors } from "./tail-errors.ts";

export interface Part {
  /** For people. */
  name: string;
  program: string;
  args: string[];
  env: Record<string, string | undefined>;
  logPath: string;
}

export interface KeptPart {
  /** Asks it to end, insists after a time, and resolves when it is gone. It is not started again. */
  stop(patienceMs: number): Promise<void>;
  /** Ends it at once; `stop` then resolves. */
  kill(): void;
  /** How often it has ended by itself. */
  readonly ends: number;
}

interface Surroundings {
  records: RecordedProcesses;
  say(line: string): void;
}

const ROTATE_AT_BYTES = 10 * 1024 * 1024;
const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 10_000;
// A part that ran this long was well; its next end is not held against it.
const WELL_AFTER_MS = 30_000;

/**
 * Starts a part as a process group of its own and starts it again, after a growing pause, whenever it ends. Its log
 * goes straight to a file, so that it survives this process; errors in it, and its end, are said in a line.
 */
export function keepRunning(part: Part, { records, say }: Surroundings): KeptPart {
  mkdirSync(dirname(part.logPath), { recursive: true });
  const stopping = new AbortController();
  const state: { child: ChildProcess | undefined; ends: number } = { child: undefined, ends: 0 };
  const stopTail = tailErrors(part.logPath, (line) => say(`${part.name}: ${line}`));
  let said = "";
  // What dies of the same cause again and again says so once.
  const sayOnce = (line: string) => {
    if (line !== said) say(line);
    said = line;
  };
  const over = superviseUntil(stopping.signal).finally(stopTail);

  async function superviseUntil(signal: AbortSignal): Promise<void> {
    for (let pauseMs = FIRST_PAUSE_MS; !signal.aborted; pauseMs = Math.min(LONGEST_PAUSE_MS, pauseMs * 2)) {
      const startedAt = Date.now();
      const how = await runOnce();
      if (signal.aborted) return;
      state.ends++;
      if (Date.now() - startedAt > WELL_AFTER_MS) pauseMs = FIRST_PAUSE_MS;
      const why = how.startsWith("SIG") ? "" : suffix(lastWords(part.logPath));
      sayOnce(`${part.name} ended (${how})${why}. Starting it again. Its log: ${showPath(part.logPath)}`);
      await sleep(pauseMs, signal);
    }
  }

  async function runOnce(): Promise<string> {
    const child = start(part);
    state.child = child;
    const { pid } = child;
    if (pid !== undefined) records.add(part.name, pid);
    const how = await new Promise<string>((resolve) => {
      child.once("error", (reason) => resolve(reason.message));
      child.once("exit", (code, signal) => resolve(signal ?? `exit code ${code}`));
    });
    if (pid !== undefined) records.remove(pid);
    return how;
  }

  return {
    get ends() {
      return state.ends;
    },
    kill() {
      stopping.abort();
      if (state.child?.pid !== undefined) killGroup(state.child.pid);
    },
    async stop(patienceMs) {
      stopping.abort();
      state.child?.kill("SIGTERM");
      const insist = setTimeout(() => this.kill(), patienceMs);
      await over;
      clearTimeout(insist);
    },
  };
}

function start({ program, args, env, logPath }: Part): ChildProcess {
  if (existsSync(logPath) && statSync(logPath).size > ROTATE_AT_BYTES) renameSync(logPath, `${logPath}.1`);
  const log = openSync(logPath, "a", 0o600);
  try {
    // Detached, so that a Ctrl-C in the terminal reaches the parent alone, which stops things in their order.
    return spawn(program, args, { detached: true, env, stdio: ["ignore", log, log] });
  } finally {
    closeSync(log);
  }
}

function suffix(words: string | undefined): string {
  return words === undefined ? "" : `: ${words.replace(/\.$/, "")}`;
}
