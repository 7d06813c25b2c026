import { sleep } from "../../process/wait.ts";
import type { Core } from "../core.ts";
import { claimSteps, MAX_CLAIM } from "../queue/claim-steps.ts";
import { readLeases } from "../queue/read-leases.ts";
import { readOffers } from "../queue/read-offers.ts";
import { type Attending, Roster } from "./roster.ts";

// A hint may be lost; what waits is found by itself after this time at the latest.
const POLL_MS = 1_000;
const CLAIMS_AT_ONCE = 4;

export interface Dispatcher {
  roster: Roster;
  /** Looks for steps now, or right after the round that is under way. */
  wake(): void;
  /** Resolves when the loop has ended, after `core.stopping`. */
  done: Promise<void>;
}

/** Offers queued steps to the workers that attend at this replica, as long as there are both. */
export function startDispatching(core: Core): Dispatcher {
  let again = true;
  let wakeUp = () => {};
  const wake = () => {
    again = true;
    wakeUp();
  };
  const roster = new Roster(wake);
  const pools = new Map<string, () => void>();
  const done = loop();

  async function loop(): Promise<void> {
    while (!core.stopping.aborted) {
      again = false;
      const workers = roster.all();
      listen(workers);
      try {
        await offerRound(core, workers);
      } catch (reason) {
        core.logger.warn({ err: reason }, "offering steps failed; trying again");
        await sleep(200, core.stopping);
      }
      if (again) continue;
      const woken = new AbortController();
      wakeUp = () => woken.abort();
      await sleep(POLL_MS * (0.75 + Math.random() / 2), AbortSignal.any([woken.signal, core.stopping]));
    }
    for (const off of pools.values()) off();
  }

  function listen(workers: Attending[]): void {
    for (const { worker } of workers) {
      if (!pools.has(worker.pool)) pools.set(worker.pool, core.hints.on("queue", worker.pool, wake));
    }
  }

  return { roster, wake, done };
}

async function offerRound(core: Core, workers: Attending[]): Promise<void> {
  for (const attending of workers.filter((w) => w.doubtful)) await offerUntold(core, attending);
  const free = workers.filter((w) => w.claimant().freeSlots > 0);
  // Those with the most room first, so that a fleet fills evenly.
  free.sort((a, b) => b.claimant().freeSlots - a.claimant().freeSlots || Math.random() - 0.5);
  // What one worker did not find, another with the same labels and as much room will not find either.
  const exhausted = new Set<string>();
  const queue = free.values();
  const claimOn = async () => {
    for (const attending of queue) {
      const claimant = attending.claimant();
      const { orgId, pool, labels, freeSlots, freeCpuMillis, freeMemoryBytes } = claimant;
      const key = [orgId, pool, labels.join(), freeCpuMillis, freeMemoryBytes].join(" ");
      if (exhausted.has(key) || core.stopping.aborted) continue;
      const steps = await claimSteps(core.db, claimant).catch((reason: unknown) => {
        attending.doubtful = true;
        throw reason;
      });
      const reserved = steps.some((step) => step.cpuMillis > 0 || step.memoryBytes > 0);
      // A session that ran out finds nothing either, and says nothing about the queue.
      const live = performance.now() - attending.heardAtMs < core.config.leaseSeconds * 1_000;
      if (steps.length < Math.min(freeSlots, MAX_CLAIM) && !reserved && live) exhausted.add(key);
      const now = performance.now();
      for (const step of steps) {
        attending.take(step, now);
        core.metrics.queueWait.observe({ pool: step.pool }, step.waitedSeconds);
      }
      if (steps.length > 0) {
        attending.offer(steps);
        core.hints.send("events", orgId);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(CLAIMS_AT_ONCE, free.length) }, claimOn));
}

/** A claim whose answer was lost may have been made all the same: what it leased is found by the session, and offered. */
async function offerUntold({ db }: Pick<Core, "db">, attending: Attending): Promise<void> {
  attending.adjust(await readLeases(db.sql, [attending.worker.sessionId]));
  const untold = attending.untold();
  if (untold.length > 0) attending.offer(await readOffers(db.sql, untold));
  attending.tell(untold, performance.now());
  attending.doubtful = false;
}
