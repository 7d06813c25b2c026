import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** One of Ritmo's own programs as a child, with what it says about itself. */
export interface RunningProcess extends AsyncDisposable {
  child: ChildProcess;
  pid: number;
  /** What it wrote on standard error, line by line; JSON where it is a log. */
  lines: string[];
  /** Resolves with the first line of its log whose `msg` is this; rejects when it ends before. */
  said(msg: string): Promise<Record<string, unknown>>;
  /** Sends a signal and, unless it is STOP or CONT, waits for the end. */
  signal(name: NodeJS.Signals): Promise<void>;
  ended: Promise<number | null>;
}

const SERVICES = fileURLToPath(new URL("../", import.meta.url));

/** Runs `node services/PROGRAM`, in a process group of its own, with nothing of this environment but PATH and HOME. */
export function runProcess(program: string, env: Record<string, string>, args: string[] = []): RunningProcess {
  const child = spawn(process.execPath, [SERVICES + program, ...args], {
    env: { PATH: process.env["PATH"] ?? "", HOME: process.env["HOME"] ?? "/", ...env },
    stdio: ["ignore", "ignore", "pipe"],
    detached: true,
  });
  const lines: string[] = [];
  const listeners = new Set<(line: string) => void>();
  const reader = createInterface({ input: child.stderr });
  reader.on("line", (line) => {
    lines.push(line);
    for (const listen of listeners) listen(line);
  });
  const ended = new Promise<number | null>((resolve) => child.once("exit", (code) => resolve(code)));
  const stop = async (name: NodeJS.Signals) => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill(name);
    if (name !== "SIGSTOP" && name !== "SIGCONT") await ended;
  };
  return {
    child,
    pid: child.pid as number,
    lines,
    ended,
    signal: stop,
    said(msg) {
      return new Promise((resolve, reject) => {
        const look = (line: string) => {
          const entry = parse(line);
          if (entry?.["msg"] === msg) resolve(entry);
        };
        for (const line of lines) look(line);
        listeners.add(look);
        void ended.then((code) =>
          reject(new Error(`${program} ended with ${code} before "${msg}":\n${lines.slice(-20).join("\n")}`)),
        );
      });
    },
    async [Symbol.asyncDispose]() {
      child.kill("SIGCONT");
      await stop("SIGKILL");
    },
  };
}

function parse(line: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}
