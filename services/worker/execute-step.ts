import { create } from "@bufbuild/protobuf";
import { StartStepRequestSchema, StepStage, WorkerService } from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import type { AttemptLogs } from "./attempt-logs.ts";
import { BrokenStep, type Executor, type RunEnd, type Running, type Work } from "./executor/executor.ts";
import { stepEnv } from "./executor/step-env.ts";
import { endingOf, GRACE_MS, type Hand } from "./hand.ts";
import { ask, CallRefused } from "./link/ask.ts";
import { timestamp } from "./log/pack-chunk.ts";
import type { RunParts } from "./run-attempt.ts";
import type { Folders } from "./workspace/make-folders.ts";

// What ends sooner tells its times with its result, which saves a call and a commit for every short step.
const TELL_AFTER_MS = 50;

/** What an earlier life of this worker remembered of commands that still run. */
export interface Left {
  remembered: Record<string, unknown>;
}

interface Step {
  folders: Folders;
  logs: AttemptLogs;
  startedAtMs: number;
  left: Left | undefined;
}

/** Runs the commands, or goes on with those of an earlier life, until nothing of them is left. Throws BrokenStep. */
export async function executeStep(parts: RunParts, hand: Hand, step: Step): Promise<RunEnd> {
  const { leaseId, offer } = hand;
  const { folders, logs, startedAtMs, left } = step;
  const executor = parts.executors.of(offer.spec);
  if (!executor) throw new BrokenStep("NO_CONTAINER_ENGINE", "this worker has no container engine any more");
  const running = left
    ? await adopt(executor, workOf(parts, hand, step, executor), hand, left)
    : await begin(executor, workOf(parts, hand, step, executor), hand);
  hand.stage = "running";
  const beganAtMs = Date.now();
  const tell = setTimeout(() => tellStage(parts, hand, StepStage.RUNNING, beganAtMs), TELL_AFTER_MS);
  const over = () => clearTimeout(tell);
  void running.ended.then(over, over);
  const stop = () => running.stop(endingOf(hand)?.graceMs ?? GRACE_MS);
  const giveUp = () => running.stop(GRACE_MS);
  logs.step.failure.addEventListener("abort", giveUp, { once: true });
  hand.ending.addEventListener("abort", stop, { once: true });
  if (hand.ending.aborted) stop();
  try {
    // What left nothing to remember can't be found again.
    if (Object.keys(running.remember).length > 0)
      await parts.journal.keepRunning(folders, { ...running.remember, startedAtMs });
  } catch (reason) {
    parts.log.warn({ leaseId, reason: String(reason) }, "the journal could not be written");
  }
  return running.ended;
}

async function begin(executor: Executor, work: Work, hand: Hand): Promise<Running> {
  hand.ending.throwIfAborted();
  try {
    return await executor.start(work);
  } catch (reason) {
    if (reason instanceof BrokenStep) work.tell(reason.message);
    throw reason;
  }
}

async function adopt(executor: Executor, work: Work, hand: Hand, { remembered }: Left): Promise<Running> {
  const { leaseId, folders } = work;
  const running = await executor.adopt?.({ leaseId, folders, remembered }, { ...work, taken: hand.spooled() });
  if (running) return running;
  throw new BrokenStep("WORKER_RESTARTED", "the worker was killed and started again, and the step is gone");
}

function workOf({ machine }: RunParts, hand: Hand, { folders, logs }: Step, executor: Executor): Work {
  const { leaseId, offer } = hand;
  const inside = executor.inside?.(folders) ?? { folders, machine };
  const { run = [], shell = "", image = "", resources } = offer.spec ?? {};
  return {
    leaseId,
    attemptId: offer.attemptId,
    run,
    shell,
    image,
    resources: { cpuMillis: resources?.cpuMillis ?? 0, memoryBytes: Number(resources?.memoryBytes ?? 0n) },
    // What the machine passes on, such as the way out of its network, a container needs as well.
    env: stepEnv(offer, inside.folders, { ...inside.machine, passed: machine.passed ?? {} }),
    folders,
    log: logs.step,
    tell: logs.tell,
    signal: hand.ending,
  };
}

/** Tells the stage without waiting: it is for people, and the commands run on meanwhile. */
export function tellStage(parts: RunParts, hand: Hand, stage: StepStage, atMs = Date.now()): void {
  const request = create(StartStepRequestSchema, { leaseId: hand.leaseId, at: timestamp(atMs), stage });
  ask({ ...parts, signal: hand.dropped }, WorkerService.method.startStep, request).catch((failure: unknown) => {
    if (failure instanceof CallRefused && failure.refused.reason === "LEASE_LOST") hand.drop("the lease is lost");
  });
}
