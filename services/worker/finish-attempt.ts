import { randomUUID } from "node:crypto";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type FinishStepRequest,
  FinishStepRequestSchema,
  WorkerService,
} from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import type { Logger } from "../process/logger.ts";
import { sleep } from "../process/wait.ts";
import type { AttemptLogs, LogParts } from "./attempt-logs.ts";
import type { Hand } from "./hand.ts";
import type { Journal } from "./journal/open-journal.ts";
import { ask, CallRefused } from "./link/ask.ts";
import { timestamp } from "./log/pack-chunk.ts";
import type { Folders } from "./workspace/make-folders.ts";

/** How an attempt ended, before its log is counted. */
export interface AttemptEnd {
  end: NonNullable<MessageInitShape<typeof FinishStepRequestSchema>["end"]>;
  startedAtMs: number;
  endedAtMs: number;
  failedEntry: number;
  /** False: some of the log was delivered by an earlier life of this worker, and its digest is not known. */
  logIsWhole: boolean;
}

const MAX_BEHIND = 10;
// A crash within this time is as one a moment before: the step did not end, and is tried again as our fault.
const KEEP_AFTER_MS = 25;

export interface FinishParts extends LogParts {
  journal: Journal;
  log: Logger;
}

/** Closes the logs and makes of them and the end what is to be told. */
export async function sealAttempt(hand: Hand, logs: AttemptLogs, end: AttemptEnd): Promise<FinishStepRequest> {
  const { step, prepare, whole } = await logs.end();
  return create(FinishStepRequestSchema, {
    leaseId: hand.leaseId,
    resultId: randomUUID(),
    end: end.end,
    startedAt: timestamp(end.startedAtMs),
    endedAt: timestamp(end.endedAtMs),
    failedEntry: end.failedEntry,
    finalOffset: BigInt(step.offset),
    ...(end.logIsWhole && whole && { logSha256: step.sha256 }),
    finalPrepareOffset: BigInt(prepare.offset),
    droppedLogBytes: BigInt(step.droppedBytes),
  });
}

/**
 * Delivers the rest of the logs and tells the result until it is answered. What is not answered at once is written
 * down meanwhile, and from then on a crash changes nothing about it. A lease that is lost, or a result that
 * stands otherwise, ends it as well: there is nothing more to do for this attempt. Throws when the hand is dropped.
 */
export async function tellResult(
  parts: FinishParts,
  hand: Hand,
  folders: Folders,
  logs: AttemptLogs,
  finish: FinishStepRequest,
): Promise<void> {
  hand.stage = "finishing";
  let over = false;
  const keep = async () => {
    try {
      await parts.journal.keepFinish(folders, finish);
    } catch (reason) {
      // On a full disk the result is still worth telling; only a crash before it is told would lose it.
      const { leaseId } = hand;
      if (!over) parts.log.warn({ leaseId, reason: String(reason) }, "the result could not be written to the journal");
    }
  };
  const timer = setTimeout(keep, KEEP_AFTER_MS);
  try {
    await tell(parts, hand, logs, finish);
  } finally {
    over = true;
    clearTimeout(timer);
  }
}

async function tell(parts: FinishParts, hand: Hand, logs: AttemptLogs, finish: FinishStepRequest): Promise<void> {
  for (let behind = 0; ; behind++) {
    try {
      await logs.delivered(Number(finish.finalOffset), Number(finish.finalPrepareOffset));
      await ask({ ...parts, signal: hand.dropped }, WorkerService.method.finishStep, finish);
      return;
    } catch (failure) {
      // Every byte was acknowledged, so a replica that says otherwise reads an older state: it catches up.
      const reason = failure instanceof CallRefused ? failure.refused.reason : "";
      if (reason !== "LOG_BEHIND" || behind >= MAX_BEHIND) throw failure;
      await sleep(100 * behind, hand.dropped);
    }
  }
}
