import { existsSync } from "node:fs";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "../../../process/logger.ts";
import type { Executor, Leftover, RunEnd, Running, Work } from "../executor.ts";
import { boundaryWords } from "./boundaries.ts";
import { bringImage } from "./bring-image.ts";
import { type Container, callEngine, type Engine, EngineTrouble } from "./engine.ts";
import { explainStart } from "./explain-start.ts";
import { type ContainerEnd, followContainer } from "./follow-container.ts";
import { type Entry, type Ledger, openLedger } from "./ledger.ts";
import { makeContainer } from "./make-container.ts";
import { outputFeed } from "./output-feed.ts";
import { removeMade } from "./remove-made.ts";
import { stopContainer } from "./stop-container.ts";
import { sweepContainers } from "./sweep-containers.ts";
import { explainTrouble } from "./watch-engine.ts";
import { INSIDE, NO_SUCH_SHELL } from "./write-commands.ts";

export interface DockerParts {
  engine: Engine;
  workDir: string;
  credentialsFile: string | undefined;
  pull: "missing" | "always";
  /** How long an engine that is away is waited for while a step runs. */
  patienceMs: number;
  log: Logger;
}

const START_WITHIN_MS = 60_000;

/** Runs commands in containers of an engine on this machine, one container and one network for each attempt. */
export async function dockerExecutor(parts: DockerParts): Promise<Executor> {
  const ledger = await openLedger(parts.workDir);
  // What an earlier life left may still be gone on with; nobody sweeps it before that is decided.
  const left = (await ledger.all()).map(({ leaseId }) => leaseId);
  const inHand = new Set(left.filter((leaseId) => existsSync(join(parts.workDir, "attempts", leaseId))));
  const removals = new Set<Promise<unknown>>();
  const all: All = {
    ...parts,
    ledger,
    begin: (leaseId) => inHand.add(leaseId),
    remove(entry) {
      const removal = removeMade(parts.engine, entry)
        .then(() => ledger.close(entry))
        // It stays in the ledger, and the next sweep finds it.
        .catch((reason: Error) => parts.log.warn({ name: entry.name, reason: reason.message }, "not removed yet"))
        .finally(() => inHand.delete(entry.leaseId));
      removals.add(removal);
      void removal.finally(() => removals.delete(removal));
      return removal;
    },
  };
  const sweep = sweepContainers({ ...parts, ledger, inHand });
  return {
    name: "docker",
    inside: (folders) => ({
      // Where programs are is the image's to say.
      folders: { ...folders, ...INSIDE },
      machine: { path: "", lang: "" },
    }),
    start: (work) => start(all, work),
    adopt: (left, work) => adopt(all, left, work),
    async endLeftovers({ leaseId }) {
      for (const entry of await ledger.all()) if (entry.leaseId === leaseId) await all.remove(entry);
    },
    async close() {
      sweep.close();
      await Promise.all(removals);
    },
  };
}

interface All extends DockerParts {
  ledger: Ledger;
  begin(leaseId: string): void;
  remove(entry: Entry): Promise<unknown>;
}

async function start(all: All, work: Work): Promise<Running> {
  const { engine, ledger } = all;
  all.begin(work.leaseId);
  const entry = await ledger.open(work.leaseId, engine.info.ID);
  try {
    const image = await bringImage(all, work.image, work);
    const { container, commands } = await makeContainer(all, work, image, entry);
    // Without a signal: the stream outlives the call, and what a stopped step writes last is still read.
    const attach = () => container.attach({ stream: true, stdout: true, stderr: true });
    const live = await callEngine("attach", attach, { signal: work.signal });
    const begin = (abortSignal: AbortSignal) => container.start({ abortSignal });
    await callEngine("start", begin, { withinMs: START_WITHIN_MS, signal: work.signal });
    return run(all, { work, entry, container, words: commands.words, taken: 0 }, live);
  } catch (reason) {
    await all.remove(entry);
    throw explainStart(reason, work.image);
  }
}

/** Goes on with a container that an earlier life of this worker started; undefined when there is none. */
async function adopt(all: All, { leaseId }: Leftover, work: Work & { taken: number }): Promise<Running | undefined> {
  const entry = (await all.ledger.all()).find((one) => one.leaseId === leaseId);
  if (!entry?.containerId || entry.engineId !== all.engine.info.ID) return undefined;
  all.begin(leaseId);
  const container = all.engine.docker.getContainer(entry.containerId);
  try {
    const { State } = await callEngine("inspect container", (abortSignal) => container.inspect({ abortSignal }));
    // It was made and never started.
    if (State.Status === "created") throw new Error("the container never ran");
    if (State.Paused) await callEngine("unpause", (abortSignal) => container.unpause({ abortSignal }));
  } catch (reason) {
    all.log.info({ leaseId, reason: (reason as Error).message }, "the container of an earlier life is gone");
    await all.remove(entry);
    return undefined;
  }
  const posix = await readFile(join(work.folders.root, "step", "run-1")).then(
    () => true,
    () => false,
  );
  const words = boundaryWords(entry.nonce, posix ? work.run.length + 1 : 1);
  return run(all, { work, entry, container, words, taken: work.taken });
}

interface Run {
  work: Work;
  entry: Entry;
  container: Container;
  words: string[];
  taken: number;
}

type Live = Parameters<typeof followContainer>[1];

function run(all: All, { work, entry, container, words, taken }: Run, live?: Live): Running {
  const { folders, log: attemptLog } = work;
  const posix = words.length > 1;
  const started = () => {
    // It is open in the script alone from here on.
    void rm(join(folders.root, "step", "words"), { force: true });
  };
  const feed = outputFeed({ words, run: work.run, posix, log: attemptLog, taken, started });
  const over = new AbortController();
  const unstoppable = new AbortController();
  let stopping: Promise<void> | undefined;

  const conclude = async (): Promise<RunEnd> => {
    const startedAtMs = Date.now();
    try {
      const { engine, patienceMs, log } = all;
      const parts = { engine, container, feed, attemptLog, patienceMs, signal: unstoppable.signal, log };
      const end = await followContainer(parts, live);
      const how = await howItEnded(work, end, feed.boundary);
      const failed = how.kind !== "exited" || how.code !== 0;
      const entryNumber = posix ? Math.max(0, feed.boundary) : Number(work.run.length === 1);
      return { how, startedAtMs: end.startedAtMs, endedAtMs: end.endedAtMs, failedEntry: failed ? entryNumber : 0 };
    } catch (reason) {
      const how = { kind: "broken" as const, ...explainAny(reason), authorFault: false };
      return { how, startedAtMs, endedAtMs: Date.now(), failedEntry: 0 };
    } finally {
      over.abort();
      attemptLog.endEntry();
    }
  };
  const ended = conclude().then(async (end) => {
    await stopping;
    void all.remove(entry);
    return end;
  });
  return {
    remember: { executor: "docker", containerId: container.id },
    ended,
    stop(graceMs) {
      stopping ??= stopContainer(container, graceMs, over.signal).catch((reason) => unstoppable.abort(reason));
    },
  };
}

function explainAny(reason: unknown): { reason: string; message: string } {
  if (reason instanceof EngineTrouble) return explainTrouble(reason);
  return { reason: "ENGINE_FAULT", message: reason instanceof Error ? reason.message : String(reason) };
}

const SIGNALS: Record<number, string> = {
  ...{ 1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 5: "SIGTRAP", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE" },
  ...{ 9: "SIGKILL", 10: "SIGUSR1", 11: "SIGSEGV", 12: "SIGUSR2", 13: "SIGPIPE", 14: "SIGALRM", 15: "SIGTERM" },
};

/** The engine gives one number; what the shell wrote at its own end tells an exit code from a signal. */
async function howItEnded(work: Work, end: ContainerEnd, boundary: number): Promise<RunEnd["how"]> {
  const { code } = end;
  if (boundary < 0 && code === NO_SUCH_SHELL) {
    const message = `${work.image} has no ${work.shell.split(/\s+/)[0] || "shell"}`;
    return { kind: "broken", reason: "SHELL_NOT_FOUND", message, authorFault: true };
  }
  if (end.outOfMemory && code !== 0) return { kind: "out of memory" };
  const own = await readFile(join(work.folders.script, "ended"), "latin1").catch(() => "");
  const byItself = own.trim() === String(code);
  if (end.engineWasAway && !byItself && code !== 0) {
    const message = "the container engine went away while the step ran, and its container ended with it";
    return { kind: "broken", reason: "ENGINE_GONE", message, authorFault: false };
  }
  const signal = SIGNALS[code - 128];
  return signal && !byItself ? { kind: "signalled", signal } : { kind: "exited", code };
}
