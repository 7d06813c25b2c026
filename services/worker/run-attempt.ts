import { create } from "@bufbuild/protobuf";
import { durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import { StartStepRequestSchema, StepStage, WorkerService } from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import { shipArtifacts } from "./artifacts/ship-artifacts.ts";
import { type AttemptLogs, openAttemptLogs } from "./attempt-logs.ts";
import { BrokenStep, type Executor, type RunEnd } from "./executor/executor.ts";
import { type MachineEnv, stepEnv } from "./executor/step-env.ts";
import { type AttemptEnd, type FinishParts, sealAttempt, tellResult } from "./finish-attempt.ts";
import { endingOf, GRACE_MS, type Hand } from "./hand.ts";
import { ask, CallRefused } from "./link/ask.ts";
import { timestamp } from "./log/pack-chunk.ts";
import { DiskFull } from "./log/write-behind.ts";
import { discardFolder } from "./workspace/discard-folder.ts";
import { type Folders, foldersOf, makeFolders } from "./workspace/make-folders.ts";
import { type PrepareParts, prepareWorkspace } from "./workspace/prepare-workspace.ts";

export interface RunParts extends FinishParts, PrepareParts {
  workDir: string;
  executor: Executor;
  machine: MachineEnv;
}

/**
 * The life of an attempt, from the offer that was accepted to the result that was told. Whatever goes wrong on the
 * way is told as its end; only an attempt whose lease is lost ends without a word. Never rejects.
 */
export async function runAttempt(parts: RunParts, hand: Hand): Promise<void> {
  const { workDir, log } = parts;
  const { leaseId } = hand;
  const folders = foldersOf(workDir, leaseId);
  const logs = await openAttemptLogs(parts, hand, folders);
  try {
    const end = await work(parts, hand, folders, logs);
    hand.dropped.throwIfAborted();
    await tellResult(parts, hand, logs, await sealAttempt(parts, hand, folders, logs, end));
  } catch (reason) {
    log.warn({ leaseId, reason: messageOf(reason) }, "an attempt was dropped");
  } finally {
    await logs
      .close()
      .catch((reason: unknown) => log.warn({ leaseId, reason: messageOf(reason) }, "a log was not closed"));
    void discardFolder(workDir, folders.root);
  }
}

/** Prepares, runs and delivers; answers how it ended, whatever happened. */
async function work(parts: RunParts, hand: Hand, folders: Folders, logs: AttemptLogs): Promise<AttemptEnd> {
  const startedAtMs = Date.now();
  const limit = startLimit(hand);
  let run: RunEnd | undefined;
  try {
    await prepare(parts, hand, folders, logs);
    run = await execute(parts, hand, folders, logs);
    clearTimeout(limit);
    const ended = endOfRun(run, hand, logs);
    if (keepsArtifacts(ended)) await deliver(parts, hand, folders, logs, run);
    return { ...run, ...endOfRun(run, hand, logs), logIsWhole: true };
  } catch (reason) {
    const times = run ?? { startedAtMs, endedAtMs: Date.now(), failedEntry: 0 };
    return { ...times, end: endOfFailure(reason, hand, logs), logIsWhole: true };
  } finally {
    clearTimeout(limit);
  }
}

// A timer of Node holds 31 bits of milliseconds.
const MAX_TIMER_MS = 2 ** 31 - 1;

function startLimit(hand: Hand): NodeJS.Timeout | undefined {
  const { timeout } = hand.offer.spec ?? {};
  const limitMs = timeout ? durationMs(timeout) : 0;
  if (limitMs <= 0) return undefined;
  return setTimeout(() => hand.end({ kind: "timed out", limitMs, graceMs: GRACE_MS }), Math.min(limitMs, MAX_TIMER_MS));
}

async function prepare(parts: RunParts, hand: Hand, folders: Folders, logs: AttemptLogs): Promise<void> {
  await makeFolders(folders);
  await Promise.all([parts.journal.keepOffer(folders, hand.offer), prepareWorkspace(parts, hand, folders, logs)]);
}

/** Runs the commands until nothing of them is left. */
async function execute(parts: RunParts, hand: Hand, folders: Folders, logs: AttemptLogs): Promise<RunEnd> {
  const { leaseId, offer } = hand;
  hand.ending.throwIfAborted();
  const env = stepEnv(offer, folders, parts.machine);
  const { run = [], shell = "" } = offer.spec ?? {};
  const running = await parts.executor.start({ leaseId, run, shell, env, folders, log: logs.step });
  hand.stage = "running";
  tellStage(parts, hand, StepStage.RUNNING);
  const stop = () => running.stop(endingOf(hand)?.graceMs ?? GRACE_MS);
  const giveUp = () => running.stop(GRACE_MS);
  logs.step.failure.addEventListener("abort", giveUp, { once: true });
  hand.ending.addEventListener("abort", stop, { once: true });
  if (hand.ending.aborted) stop();
  try {
    await parts.journal.keepRunning(folders, running.remember);
  } catch (reason) {
    parts.log.warn({ leaseId, reason: messageOf(reason) }, "the journal could not be written");
  }
  return running.ended;
}

/** Tells the stage without waiting: it is for people, and the commands run on meanwhile. */
function tellStage(parts: RunParts, hand: Hand, stage: StepStage): void {
  const request = create(StartStepRequestSchema, { leaseId: hand.leaseId, at: timestamp(Date.now()), stage });
  ask({ ...parts, signal: hand.dropped }, WorkerService.method.startStep, request).catch((failure: unknown) => {
    if (failure instanceof CallRefused && failure.refused.reason === "LEASE_LOST") hand.drop("the lease is lost");
  });
}

/** Brings the artifacts away. One that can't be delivered breaks a run that was good, and is only told otherwise. */
async function deliver(parts: RunParts, hand: Hand, folders: Folders, logs: AttemptLogs, run: RunEnd): Promise<void> {
  if ((hand.offer.spec?.artifacts.length ?? 0) === 0) return;
  hand.stage = "uploading";
  tellStage(parts, hand, StepStage.FINISHING);
  try {
    await shipArtifacts(parts, hand, folders, logs);
  } catch (reason) {
    if (hand.ending.aborted || (run.how.kind === "exited" && run.how.code === 0)) throw reason;
    logs.tell(`artifacts were not delivered: ${messageOf(reason)}`);
  }
}

function keepsArtifacts({ end }: Pick<AttemptEnd, "end">): boolean {
  return end.case === "exited" || end.case === "signalled" || end.case === "outOfMemory" || end.case === "timedOut";
}

/** What the worker did to a run comes before what the run says of itself. */
function endOfRun(run: RunEnd, hand: Hand, logs: AttemptLogs): Pick<AttemptEnd, "end"> {
  const forced = forcedEnd(hand, logs);
  if (forced) return { end: forced };
  const { how } = run;
  if (how.kind === "signalled") return { end: { case: "signalled", value: { signal: how.signal } } };
  if (how.kind === "out of memory") return { end: { case: "outOfMemory", value: {} } };
  return { end: { case: "exited", value: { code: how.code } } };
}

function forcedEnd(hand: Hand, logs: AttemptLogs): AttemptEnd["end"] | undefined {
  for (const { failure } of [logs.step, logs.prepare]) {
    if (failure.aborted) return broken("DISK_FULL", messageOf(failure.reason));
  }
  const ending = endingOf(hand);
  switch (ending?.kind) {
    case "stopped":
      return { case: "stopped", value: { reason: ending.reason } };
    case "timed out":
      return { case: "timedOut", value: { limit: durationFromMs(ending.limitMs) } };
    case "log refused":
      return broken("LOG_REFUSED", ending.reason);
    case "leaving":
      return broken("WORKER_STOPPED", "the worker was told to leave before the step ended");
    default:
      return undefined;
  }
}

function endOfFailure(reason: unknown, hand: Hand, logs: AttemptLogs): AttemptEnd["end"] {
  const forced = forcedEnd(hand, logs);
  if (forced) return forced;
  if (reason instanceof BrokenStep) return broken(reason.reason, reason.message, reason.authorFault);
  if (reason instanceof DiskFull || (reason as NodeJS.ErrnoException).code === "ENOSPC") {
    return broken("DISK_FULL", messageOf(reason));
  }
  return broken("WORKER_FAULT", messageOf(reason));
}

function broken(reason: string, message: string, authorFault = false): AttemptEnd["end"] {
  return { case: "broken", value: { reason, message, authorFault } };
}

function messageOf(reason: unknown): string {
  return reason instanceof Error ? reason.message : String(reason);
}
