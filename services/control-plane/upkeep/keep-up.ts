import { sleep } from "../../process/wait.ts";
import { sweepOrphans } from "../artifacts/sweep-orphans.ts";
import { afterRelease } from "../builds/after-release.ts";
import { planPendingBuilds } from "../builds/plan-build.ts";
import type { Core } from "../core.ts";
import { dropOldEvents } from "../events/drop-old-events.ts";
import { archiveNext } from "../logs/archive-log.ts";
import { dropOldLogPartitions } from "../logs/drop-old-logs.ts";
import { gapSeconds } from "../queue/in-grace.ts";
import { releaseExpired } from "../queue/release-sessions.ts";
import { keepRules, keepStoreClean, takeAway } from "../retention/keep-retention.ts";
import { measureBuilds } from "../retention/measure-builds.ts";
import { advanceStuck } from "./advance-stuck.ts";
import { beatPulse } from "./beat-pulse.ts";
import { forgetOld } from "./forget-old.ts";
import { makePartitions } from "./make-partitions.ts";
import { markOffline } from "./mark-offline.ts";
import { restoreWatch } from "./notice-restore.ts";
import { requeueLost } from "./requeue-lost.ts";

interface Sweep {
  name: string;
  everyMs: number;
  /** Answers true when there may be more to do at once. */
  run(core: Core): Promise<unknown>;
  /** A hint that it is worth looking now. */
  wokenBy?: "plan";
}

const PLANS_AT_ONCE = 4;
const EVENT_DAYS = 7;
// A log is read most right after its end, and no worker should wait for the store while it has builds to bring on.
const ARCHIVE_AFTER_SECONDS = 30;

const SWEEPS: Sweep[] = [
  {
    name: "plan builds",
    everyMs: 1_000,
    wokenBy: "plan",
    run: async (core) => (await planPendingBuilds(core, PLANS_AT_ONCE)) > 0,
  },
  { name: "mark workers offline", everyMs: 2_000, run: afterBeat(markOffline) },
  { name: "advance stuck builds", everyMs: 5_000, run: (core) => advanceStuck(core) },
  { name: "requeue lost steps", everyMs: 10_000, run: (core) => requeueLost(core) },
  {
    name: "archive logs",
    everyMs: 1_000,
    run: async (core) => (await archiveNext(core, 4, ARCHIVE_AFTER_SECONDS)) > 0,
  },
  { name: "make partitions", everyMs: 3_600_000, run: (core) => makePartitions(core) },
  { name: "drop old logs", everyMs: 3_600_000, run: (core) => dropOldLogPartitions(core, new Date()) },
  { name: "drop old events", everyMs: 3_600_000, run: (core) => dropOldEvents(core.db, new Date(), EVENT_DAYS) },
  { name: "sweep orphaned uploads", everyMs: 600_000, run: (core) => sweepOrphans(core, new Date()) },
  { name: "measure builds", everyMs: 30_000, run: (core) => measureBuilds(core) },
  { name: "apply the rules of retention", everyMs: 60_000, run: (core) => keepRules(core) },
  { name: "take expired builds away", everyMs: 10_000, run: (core) => takeAway(core) },
  { name: "look for stray objects", everyMs: 600_000, run: (core) => keepStoreClean(core) },
  { name: "forget old requests and sessions", everyMs: 600_000, run: (core) => forgetOld(core) },
];

/**
 * Runs every sweep at its interval until the replica stops. Any number of replicas may do so: each sweep takes what
 * it finds by guarded statements. One that fails says so and is tried at its next time; none holds up another.
 */
export async function keepUp(core: Core): Promise<void> {
  const watch = { name: "notice a restore", everyMs: 1_000, run: restoreWatch(core) };
  const everyMs = beatEveryMs(core.config.leaseSeconds);
  const leases = { name: "release expired leases", everyMs, run: afterBeat(release) };
  await Promise.all([...SWEEPS, watch, leases].map((sweep) => repeat(core, sweep)));
}

/**
 * How often the pulse is beaten: three times within what counts as a gap, also with the shortest lease. A beat that came
 * later than that by itself would grant the grace again and again, and no lease would ever end.
 */
export function beatEveryMs(leaseSeconds: number): number {
  return Math.min(1_000, (gapSeconds(leaseSeconds) * 1_000) / 3);
}

async function repeat(core: Core, sweep: Sweep): Promise<void> {
  while (!core.stopping.aborted) {
    let more = false;
    const woken = sweep.wokenBy ? core.hints.wait(sweep.wokenBy, "", sweep.everyMs, core.stopping) : undefined;
    try {
      more = (await sweep.run(core)) === true;
    } catch (reason) {
      core.logger.warn({ err: reason, sweep: sweep.name }, "a sweep failed; it is tried again");
    }
    if (more) continue;
    await (woken ?? sleep(sweep.everyMs * (0.8 + Math.random() * 0.4), core.stopping));
  }
}

/**
 * Beats the pulse first: whoever comes first after the database was away notices the gap, and grants the grace, before
 * anything is taken from a worker that could not renew.
 */
function afterBeat(run: (core: Core) => Promise<void>): (core: Core) => Promise<void> {
  return async (core) => {
    await beatPulse(core);
    await run(core);
  };
}

async function release(core: Core): Promise<void> {
  const margin = Math.min(2, core.config.leaseSeconds / 10);
  const released = await releaseExpired(core.db, margin);
  for (const step of released) core.logger.warn({ ...step }, "a lease ran out");
  await afterRelease(core, released);
}
