import type { Offer } from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";

export type Stage = "preparing" | "running" | "uploading" | "finishing";

/** Why the worker itself ends the commands of an attempt. */
export type Ending =
  | { kind: "stopped"; reason: string; graceMs: number }
  | { kind: "timed out"; limitMs: number; graceMs: number }
  | { kind: "leaving"; graceMs: number }
  | { kind: "log refused"; reason: string; graceMs: number }
  | { kind: "dropped"; reason: string; graceMs: number };

/** An attempt that this worker has in hand. */
export interface Hand {
  readonly leaseId: string;
  readonly offer: Offer;
  stage: Stage;
  /** How far the step's log is in the spool. */
  spooled(): number;
  onSpooled: () => number;
  /** What the control plane said is durable of the two logs. */
  told(step: number, prepare: number): void;
  onTold: (step: number, prepare: number) => void;
  /** Ends the commands; what comes after them (log, result) still happens. The first reason stands. */
  end(ending: Ending): void;
  readonly ending: AbortSignal;
  /** The lease is lost: ends everything about the attempt, and nothing more of it is published. */
  drop(reason: string): void;
  readonly dropped: AbortSignal;
}

// Work without a lease has no right to go on, but may still close its files.
const DROPPED_GRACE_MS = 1_000;

export const GRACE_MS = 10_000;

/** Takes an attempt in hand. */
export function takeInHand(offer: Offer): Hand {
  const ending = new AbortController();
  const dropped = new AbortController();
  const hand: Hand = {
    leaseId: offer.leaseId,
    offer,
    stage: "preparing",
    spooled: () => hand.onSpooled(),
    onSpooled: () => 0,
    told: (step, prepare) => hand.onTold(step, prepare),
    onTold: () => {},
    end: (why) => ending.abort(why),
    ending: ending.signal,
    drop(reason) {
      ending.abort({ kind: "dropped", reason, graceMs: DROPPED_GRACE_MS } satisfies Ending);
      dropped.abort(new Dropped(reason));
    },
    dropped: dropped.signal,
  };
  return hand;
}

/** Why the worker ends the commands, once it does. */
export function endingOf(hand: Hand): Ending | undefined {
  return hand.ending.aborted ? (hand.ending.reason as Ending) : undefined;
}

/** The lease moved on. */
export class Dropped extends Error {
  override readonly name = "Dropped";
}
