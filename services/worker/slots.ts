import { statfs } from "node:fs/promises";
import { create } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import {
  type Capacity,
  CapacitySchema,
  type HeldAttempt,
  HeldAttemptSchema,
  type Offer,
  type Verdict,
} from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import { bell } from "./bell.ts";
import type { Machine } from "./detect-machine.ts";
import { type Ending, GRACE_MS, type Hand, takeInHand } from "./hand.ts";

/** The attempts that this worker has in hand, and what is left for more. */
export interface Slots {
  /** Takes an attempt in hand and begins it, or says why not. An attempt that is in hand already is accepted again. */
  offer(offer: Offer): true | string;
  /** Takes up an attempt of an earlier life. */
  adopt(hand: Hand, work: Promise<void>): void;
  find(leaseId: string): Hand | undefined;
  /** What is in hand and what is free, at one moment. */
  state(): Promise<{ capacity: Capacity; held: HeldAttempt[]; draining: boolean }>;
  /** Does what the control plane says about each; what it does not know is dropped. */
  judge(verdicts: Verdict[]): void;
  stop(leaseId: string, reason: string, graceMs: number): void;
  endAll(ending: Ending): void;
  dropAll(reason: string): void;
  /** Nothing new is taken: it was ordered, or this worker leaves. */
  draining: boolean;
  /** This worker itself wants nothing more; what was ordered is no news to who ordered it. */
  leaving: boolean;
  /** Resolves when nothing is in hand. */
  idle(): Promise<void>;
  readonly count: number;
}

export interface SlotParts {
  slots: number;
  machine: Machine;
  workDir: string;
  run(hand: Hand): Promise<void>;
  /** Why this worker can't run it, if it can't. */
  refuses(offer: Offer): string | undefined;
}

/** An empty hand. */
export function openSlots({ slots, machine, workDir, run, refuses }: SlotParts): Slots {
  const hands = new Map<string, Hand>();
  const freed = bell();
  const keep = (hand: Hand, work: Promise<void>) => {
    hands.set(hand.leaseId, hand);
    void work.finally(() => {
      hands.delete(hand.leaseId);
      freed.ring();
    });
  };
  // The control plane counts a slot as free once it has the result, before this worker has heard so.
  const busy = () => [...hands.values()].filter((hand) => hand.stage !== "finishing").length;
  const stop = (leaseId: string, reason: string, graceMs: number) =>
    hands.get(leaseId)?.end({ kind: "stopped", reason, graceMs });
  const self: Slots = {
    draining: false,
    leaving: false,
    offer(offer) {
      if (hands.has(offer.leaseId)) return true;
      if (self.draining) return "the worker is draining";
      if (busy() >= slots) return "no slot is free";
      const refusal = refuses(offer);
      if (refusal) return refusal;
      const hand = takeInHand(offer);
      keep(hand, run(hand));
      return true;
    },
    adopt: keep,
    find: (leaseId) => hands.get(leaseId),
    async state() {
      const disk = await statfs(workDir).catch(() => undefined);
      const reserved = [...hands.values()].map(({ offer }) => offer.spec?.resources);
      const cpuMillis = reserved.reduce((sum, one) => sum + (one?.cpuMillis ?? 0), 0);
      const memoryBytes = reserved.reduce((sum, one) => sum + Number(one?.memoryBytes ?? 0n), 0);
      const capacity = create(CapacitySchema, {
        freeSlots: Math.max(0, slots - busy()),
        freeCpuMillis: Math.max(0, machine.cpus * 1000 - cpuMillis),
        freeMemoryBytes: BigInt(Math.max(0, machine.memoryBytes - memoryBytes)),
        freeDiskBytes: disk ? BigInt(disk.bavail) * BigInt(disk.bsize) : 0n,
      });
      return { capacity, held: [...hands.values()].map(describe), draining: self.leaving };
    },
    judge(verdicts) {
      for (const { leaseId, verdict } of verdicts) {
        const hand = hands.get(leaseId);
        if (!hand) continue;
        if (verdict.case === "unknown") hand.drop("the control plane does not know the lease");
        else if (verdict.case !== undefined) {
          hand.told(Number(verdict.value.durableLogOffset), Number(verdict.value.durablePrepareOffset));
          if (verdict.case === "stop") stop(leaseId, verdict.value.reason, graceOf(verdict.value.grace));
        }
      }
    },
    stop,
    endAll(ending) {
      for (const hand of hands.values()) hand.end(ending);
    },
    dropAll(reason) {
      for (const hand of hands.values()) hand.drop(reason);
    },
    async idle() {
      while (hands.size > 0) await freed.next();
    },
    get count() {
      return hands.size;
    },
  };
  return self;
}

/** The grace that a stop names, or the usual one. */
export function graceOf(grace: Parameters<typeof durationMs>[0] | undefined): number {
  return grace ? Math.max(0, durationMs(grace)) : GRACE_MS;
}

function describe(hand: Hand): HeldAttempt {
  return create(HeldAttemptSchema, {
    leaseId: hand.leaseId,
    spooledOffset: BigInt(hand.spooled()),
    stage: { case: hand.stage, value: {} },
  });
}
