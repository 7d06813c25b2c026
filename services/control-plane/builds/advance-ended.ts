import type { Core } from "../core.ts";
import { advanceBuild } from "./advance-build.ts";
import { settleBuild } from "./settle-build.ts";

/** A step that is over, committed. */
export interface EndedStepOf {
  buildId: string;
  stepId: string;
}

/**
 * Draws the consequences of steps that ended a moment ago, of whichever builds: one look finds those builds where
 * there are any, and most often there are none. It comes after the commit of the ends, so that of two last steps of a
 * build one sees both.
 */
export async function advanceEnded(
  core: Pick<Core, "db" | "hints" | "metrics" | "logger">,
  ended: EndedStepOf[],
): Promise<void> {
  const byBuild = Map.groupBy(ended, (step) => step.buildId);
  const rows = await core.db.sql<{ id: string; opens: boolean }[]>`
    SELECT * FROM (
      SELECT b.id,
        EXISTS (SELECT FROM step_needs n JOIN steps w ON w.id = n.step_id
          WHERE n.need_id = ANY(${ended.map((step) => step.stepId)}) AND w.build_id = b.id AND w.state = 'waiting') AS opens,
        NOT EXISTS (SELECT FROM steps s WHERE s.build_id = b.id
          AND s.state IN ('waiting', 'queued', 'leased', 'running', 'finishing')) AS settles
      FROM builds b WHERE b.id = ANY(${[...byBuild.keys()]}) AND b.state = 'running') looked
    WHERE opens OR settles`;
  for (const { id, opens } of rows) {
    const steps = byBuild.get(id)?.map((step) => step.stepId);
    if (opens) await advanceBuild(core, id, steps);
    else await settleBuild(core, id);
  }
}
