import { mkdir, writeFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { sleep } from "../../../process/wait.ts";
import type { AttemptLog } from "../../log/attempt-log.ts";
import { BrokenStep, type Executor, type RunEnd, type Work } from "../executor.ts";

type How = RunEnd["how"];

const PIECE_BYTES = 64 * 1024;

/**
 * Does what the lines of `run` say, without any process: for tests and benchmarks of everything around the commands.
 * `print TEXT`, `bytes N [SEED]`, `sleep 200ms`, `exit N`, `signal SIGKILL`, `artifact PATH TEXT`, `oom`. A line that
 * is none of these is the author's fault.
 */
export function scriptedExecutor(): Executor {
  return {
    name: "scripted",
    needsFolders: false,
    async start(work) {
      const entries = work.run.map((entry) => entry.split("\n").filter((line) => line.trim() !== ""));
      for (const line of entries.flat()) assertKnown(line);
      const stop = new AbortController();
      return { remember: {}, ended: play(work, entries, stop.signal), stop: () => stop.abort() };
    },
    endLeftovers: async () => {},
  };
}

async function play(work: Work, entries: string[][], stop: AbortSignal): Promise<RunEnd> {
  const startedAtMs = Date.now();
  let how: How | undefined;
  let entry = 0;
  for (const lines of entries) {
    work.log.beginEntry(lines[0] ?? "", ++entry);
    for (const line of lines)
      how ??= stop.aborted ? { kind: "signalled", signal: "SIGTERM" } : await obey(line, work, stop);
    if (how) break;
  }
  work.log.endEntry();
  how ??= { kind: "exited", code: 0 };
  const failed = how.kind !== "exited" || how.code !== 0;
  return { how, startedAtMs, endedAtMs: Date.now(), failedEntry: failed ? entry : 0 };
}

const KNOWN = /^\s*(print|bytes|sleep|exit|signal|artifact|oom)(?: (.*))?$/;

function assertKnown(line: string): void {
  if (KNOWN.test(line)) return;
  throw new BrokenStep("SCRIPT_INVALID", `the scripted executor does not know ${JSON.stringify(line)}`, {
    authorFault: true,
  });
}

async function obey(line: string, { log, folders }: Work, stop: AbortSignal): Promise<How | undefined> {
  const [, verb, rest = ""] = KNOWN.exec(line) ?? [];
  switch (verb) {
    case "print":
      log.append(Buffer.from(`${rest}\n`));
      return undefined;
    case "bytes":
      return writeBytes(rest, log, stop);
    case "sleep":
      await sleep(Number.parseFloat(rest) * (rest.trim().endsWith("ms") ? 1 : 1000), stop);
      return undefined;
    case "exit":
      return { kind: "exited", code: Number(rest) };
    case "signal":
      return { kind: "signalled", signal: rest.trim() };
    case "oom":
      return { kind: "out of memory" };
    case "artifact":
      return writeArtifact(rest, folders.workspace);
    default:
      return undefined;
  }
}

/** `N [SEED]`: so many bytes, the same ones for the same seed; lines of 64 characters. */
async function writeBytes(rest: string, log: AttemptLog, stop: AbortSignal): Promise<undefined> {
  const [count = 0, seed = 1] = rest.split(" ").map(Number);
  let state = seed >>> 0 || 1;
  for (let left = count; left > 0 && !stop.aborted; ) {
    const piece = Buffer.allocUnsafe(Math.min(left, PIECE_BYTES));
    for (let at = 0; at < piece.length; at++) {
      // xorshift32 (Marsaglia 2003).
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      piece[at] = at % 65 === 64 ? 0x0a : 0x41 + ((state >>> 0) % 26);
    }
    await log.room(stop);
    log.append(piece);
    left -= piece.length;
  }
}

async function writeArtifact(rest: string, workspace: string): Promise<undefined> {
  const [path = "", ...words] = rest.split(" ");
  const file = resolve(workspace, path);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, words.join(" "));
}
