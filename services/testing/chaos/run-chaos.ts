import { askForBuilds } from "./ask-for-builds.ts";
import { checkHistory, type Violation } from "./check-history.ts";
import { collectHistory } from "./collect-history.ts";
import { makePipeline } from "./make-pipeline.ts";
import { seeded } from "./random.ts";
import { type Fault, stir } from "./stir.ts";
import { openWorld } from "./world.ts";

export interface ChaosReport {
  faults: Fault[];
  builds: number;
  attempts: number;
  /** How many builds ended in which state. */
  states: Record<string, number>;
  /** The longest that a build waited for its plan. */
  longestPlanSeconds: number;
  violations: Violation[];
}

const JOBS = 6;

/** Lets builds run through faults for so long, waits until everything is over, and checks what was promised. */
export async function runChaos({ seed, seconds }: { seed: number; seconds: number }): Promise<ChaosReport> {
  await using world = await openWorld();
  const random = seeded(seed);
  const jobs = Array.from({ length: JOBS }, (_, i) => `job-${i}`);
  for (const job of jobs) await world.ritmo.createJob(job, "", makePipeline(random, world.witnessFolder));
  const failed = new AbortController();
  const over = AbortSignal.any([AbortSignal.timeout(seconds * 1000), failed.signal]);
  const stirring = stir(world.parts, seeded(seed + 2), over);
  // Whatever happens, every part is back before the world ends.
  const asked = await askForBuilds(world.ritmo, jobs, seeded(seed + 1), over).finally(() => {
    failed.abort();
    return stirring;
  });
  const faults = await stirring;
  const history = await collectHistory(world, asked);
  const [plan] = await world.db.sql<[{ seconds: number }]>`
    SELECT coalesce(max(extract(epoch FROM coalesce(started_at, finished_at) - created_at)), 0)::float8 AS seconds
    FROM builds WHERE cancel_requested_at IS NULL`;
  return {
    faults,
    builds: history.builds.length,
    attempts: history.attempts.length,
    states: Object.fromEntries(
      [...Map.groupBy(history.builds, ({ state }) => state)].map(([state, of]) => [state, of.length]),
    ),
    longestPlanSeconds: plan.seconds,
    violations: checkHistory(history),
  };
}
