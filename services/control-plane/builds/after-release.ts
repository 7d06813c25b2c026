import type { Core } from "../core.ts";
import type { ReleasedStep } from "../queue/release-sessions.ts";
import { advanceBuild } from "./advance-build.ts";

/** What follows when leases were taken back: the queue is told, and builds go on or end. */
export async function afterRelease(
  core: Pick<Core, "db" | "hints" | "metrics" | "logger">,
  released: ReleasedStep[],
): Promise<void> {
  for (const pool of new Set(released.filter((r) => r.state === "queued").map((r) => r.pool))) {
    core.hints.send("queue", pool);
  }
  for (const orgId of new Set(released.map((r) => r.orgId))) core.hints.send("events", orgId);
  const ended = Map.groupBy(
    released.filter((r) => r.state !== "queued"),
    (r) => r.buildId,
  );
  for (const [buildId, steps] of ended) {
    await advanceBuild(
      core,
      buildId,
      steps.map((step) => step.stepId),
    );
  }
}
