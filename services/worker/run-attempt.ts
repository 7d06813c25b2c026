import { durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import { StepStage } from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import { durableOffsets } from "./adopt-attempts.ts";
import { shipArtifacts } from "./artifacts/ship-artifacts.ts";
import { type AttemptLogs, openAttemptLogs, recoverAttemptLogs } from "./attempt-logs.ts";
import { executeStep, type Left, tellStage } from "./execute-step.ts";
import { BrokenStep, type Executors, type RunEnd } from "./executor/executor.ts";
import type { MachineEnv } from "./executor/step-env.ts";
import { type AttemptEnd, type FinishParts, sealAttempt, tellResult } from "./finish-attempt.ts";
import { endingOf, GRACE_MS, type Hand } from "./hand.ts";
import { DiskFull } from "./log/write-behind.ts";
import { discardFolder } from "./workspace/discard-folder.ts";
import { type Folders, foldersOf, makeFolders } from "./workspace/make-folders.ts";
import { type PrepareParts, prepareWorkspace } from "./workspace/prepare-workspace.ts";

export interface RunParts extends FinishParts, PrepareParts {
  workDir: string;
  executors: Executors;
  machine: MachineEnv;
}

/**
 * The life of an attempt, from the offer that was accepted to the result that was told. Whatever goes wrong on the
 * way is told as its end; only an attempt whose lease is lost ends without a word. Never rejects.
 *
 * With `left` it is one whose commands an earlier life of this worker started and that still run: its log goes on
 * where the spool ends, once the control plane has said how far it has come there.
 */
export async function runAttempt(parts: RunParts, hand: Hand, left?: Left): Promise<void> {
  const { workDir, log } = parts;
  const { leaseId } = hand;
  const folders = foldersOf(workDir, leaseId);
  const logs = left ? await recoverLogs(parts, hand, folders, left) : await openAttemptLogs(parts, hand, folders);
  if (!logs) return discardFolder(workDir, folders.root);
  let wantsRoom = false;
  try {
    const end = await work(parts, hand, folders, logs, left);
    hand.dropped.throwIfAborted();
    const finish = await sealAttempt(hand, logs, end);
    wantsRoom = isDiskFull(end);
    if (wantsRoom) await makeRoom(workDir, folders);
    await tellResult(parts, hand, folders, logs, finish);
  } catch (reason) {
    log.warn({ leaseId, reason: messageOf(reason) }, "an attempt was dropped");
  } finally {
    await logs
      .close()
      .catch((reason: unknown) => log.warn({ leaseId, reason: messageOf(reason) }, "a log was not closed"));
    void discardFolder(workDir, folders.root, { now: wantsRoom });
  }
}

/** What comes next may come as soon as the result is told, and would meet the same full disk. The log stays. */
async function makeRoom(workDir: string, { workspace, home, tmp }: Folders): Promise<void> {
  await Promise.all([workspace, home, tmp].map((folder) => discardFolder(workDir, folder, { now: true })));
}

function isDiskFull({ end }: AttemptEnd): boolean {
  return end.case === "broken" && end.value.reason === "DISK_FULL";
}

/** Prepares, runs and delivers; answers how it ended, whatever happened. */
async function work(
  parts: RunParts,
  hand: Hand,
  folders: Folders,
  logs: AttemptLogs,
  left: Left | undefined,
): Promise<AttemptEnd> {
  const startedAtMs = Number(left?.remembered["startedAtMs"] ?? Date.now());
  const limit = startLimit(hand, startedAtMs);
  // What an earlier life sent can't be digested any more.
  const logIsWhole = left === undefined;
  let run: RunEnd | undefined;
  try {
    if (!left) await prepare(parts, hand, folders, logs);
    run = await executeStep(parts, hand, { folders, logs, startedAtMs, left });
    clearTimeout(limit);
    const ended = endOfRun(run, hand, logs);
    if (keepsArtifacts(ended)) await deliver(parts, hand, folders, logs, run);
    return { ...run, ...endOfRun(run, hand, logs), logIsWhole };
  } catch (reason) {
    const times = run ?? { startedAtMs, endedAtMs: Date.now(), failedEntry: 0 };
    return { ...times, end: endOfFailure(reason, hand, logs), logIsWhole };
  } finally {
    clearTimeout(limit);
  }
}

// A timer of Node holds 31 bits of milliseconds.
const MAX_TIMER_MS = 2 ** 31 - 1;

function startLimit(hand: Hand, startedAtMs: number): NodeJS.Timeout | undefined {
  const { timeout } = hand.offer.spec ?? {};
  const limitMs = timeout ? durationMs(timeout) : 0;
  if (limitMs <= 0) return undefined;
  const leftMs = Math.max(0, startedAtMs + limitMs - Date.now());
  return setTimeout(() => hand.end({ kind: "timed out", limitMs, graceMs: GRACE_MS }), Math.min(leftMs, MAX_TIMER_MS));
}

/** Undefined when the lease is lost meanwhile; then what still ran is ended. */
async function recoverLogs(
  parts: RunParts,
  hand: Hand,
  folders: Folders,
  left: Left,
): Promise<AttemptLogs | undefined> {
  try {
    return await recoverAttemptLogs(parts, hand, folders, await durableOffsets(hand));
  } catch (reason) {
    parts.log.warn({ leaseId: hand.leaseId, reason: messageOf(reason) }, "an attempt was dropped");
    await parts.executors.of(hand.offer.spec)?.endLeftovers({ ...left, leaseId: hand.leaseId, folders });
    return undefined;
  }
}

async function prepare(parts: RunParts, hand: Hand, folders: Folders, logs: AttemptLogs): Promise<void> {
  const { checkout, inputs = [], artifacts = [] } = hand.offer.spec ?? {};
  const bare = parts.executors.of(hand.offer.spec)?.needsFolders === false;
  await makeFolders(folders, { onlyRoot: bare && !checkout && inputs.length + artifacts.length === 0 });
  await Promise.all([parts.journal.keepOffer(folders, hand.offer), prepareWorkspace(parts, hand, folders, logs)]);
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
  if (how.kind === "broken") return { end: broken(how.reason, how.message, how.authorFault) };
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
