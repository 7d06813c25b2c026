import { advanceBuild } from "../builds/advance-build.ts";
import type { Core } from "../core.ts";

/**
 * Goes on with builds whose replica died between a step's end and what follows from it: those that have nothing in
 * the queue or with a worker, and those that wait for a step that is over.
 */
export async function advanceStuck(core: Core): Promise<void> {
  const rows = await core.db.sql<{ id: string }[]>`
    SELECT b.id FROM builds b
    WHERE b.state = 'running' AND (
      NOT EXISTS (SELECT FROM steps s WHERE s.build_id = b.id AND s.state IN ('queued', 'leased', 'running', 'finishing'))
      OR EXISTS (SELECT FROM steps s WHERE s.build_id = b.id AND s.state = 'waiting'
        AND NOT EXISTS (SELECT FROM step_needs n JOIN steps d ON d.id = n.need_id
          WHERE n.step_id = s.id AND d.finished_at IS NULL)))
    ORDER BY random() LIMIT 100`;
  for (const { id } of rows) {
    try {
      await advanceBuild(core, id);
    } catch (reason) {
      // One that can't go on holds up no other; and by chance none of the others waits behind a hundred such.
      core.logger.error({ err: reason, build: id }, "a build could not go on; it is tried again");
    }
  }
}
