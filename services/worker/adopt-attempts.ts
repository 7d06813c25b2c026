import { create } from "@bufbuild/protobuf";
import { type Offer, OfferSchema } from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import { recoverAttemptLogs } from "./attempt-logs.ts";
import type { Executors } from "./executor/executor.ts";
import { type AttemptEnd, type FinishParts, sealAttempt, tellResult } from "./finish-attempt.ts";
import { type Hand, takeInHand } from "./hand.ts";
import type { LeftAttempt } from "./journal/open-journal.ts";
import { discardFolder } from "./workspace/discard-folder.ts";

export interface AdoptParts extends FinishParts {
  workDir: string;
  executors: Executors;
}

/** Whether its commands outlived the worker that started them, and this one can go on with them. */
export function goesOn({ executors }: Pick<AdoptParts, "executors">, { offer, finish, remembered }: LeftAttempt) {
  const executor = executors.of(offer?.spec);
  return offer !== undefined && !finish && executor?.adopt !== undefined && remembered["executor"] === executor.name;
}

/**
 * Ends what earlier lives of this worker left running and can't go on: a pipe died with the worker that read it. What
 * was written until then is in the spool.
 */
export async function endLeftovers(parts: AdoptParts, left: LeftAttempt[]): Promise<void> {
  for (const one of left) {
    if (goesOn(parts, one)) continue;
    const { leaseId, folders, remembered } = one;
    parts.log.info({ leaseId }, "ending what an earlier life of this worker left");
    for (const executor of parts.executors.every) await executor.endLeftovers({ leaseId, folders, remembered });
  }
}

/** The hand of an attempt that was left: its commands run on, or only its log and its result remain to be told. */
export function takeUp(parts: AdoptParts, left: LeftAttempt): Hand {
  const offer: Offer = left.offer ?? create(OfferSchema, { leaseId: left.leaseId });
  const hand = takeInHand(offer);
  hand.stage = goesOn(parts, left) ? "running" : "finishing";
  return hand;
}

/**
 * Tells the end of an attempt that was left: the one in the journal, or that the worker started anew. Begins when the
 * control plane has said how far the logs are there. Never rejects.
 */
export async function adoptAttempt(parts: AdoptParts, hand: Hand, left: LeftAttempt): Promise<void> {
  const { log, workDir } = parts;
  const { leaseId, folders } = left;
  try {
    const durable = await durableOffsets(hand);
    const logs = await recoverAttemptLogs(parts, hand, folders, durable);
    try {
      const finish = left.finish ?? (await sealAttempt(hand, logs, restarted()));
      await tellResult(parts, hand, folders, logs, finish);
    } finally {
      await logs.close();
    }
  } catch (reason) {
    log.warn({ leaseId, reason: reason instanceof Error ? reason.message : String(reason) }, "an attempt was dropped");
  }
  await discardFolder(workDir, folders.root);
}

/** What the control plane has of the two logs, once it said so. Rejects when the hand is dropped before. */
export function durableOffsets(hand: Hand): Promise<{ step: number; prepare: number }> {
  return new Promise((resolve, reject) => {
    hand.onTold = (step, prepare) => resolve({ step, prepare });
    hand.dropped.addEventListener("abort", () => reject(hand.dropped.reason), { once: true });
  });
}

function restarted(): AttemptEnd {
  const now = Date.now();
  const message = "the worker was killed and started again while the step ran";
  const end: AttemptEnd["end"] = { case: "broken", value: { reason: "WORKER_RESTARTED", message } };
  return { end, startedAtMs: now, endedAtMs: now, failedEntry: 0, logIsWhole: false };
}
