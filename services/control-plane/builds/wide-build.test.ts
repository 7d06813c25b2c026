import { expect, test } from "vitest";
import { openLogger } from "../../process/logger.ts";
import { attendingWorker, runningBuild } from "../../testing/build-fixture.ts";
import { freshDatabase } from "../../testing/fresh-database.ts";
import { openMetrics } from "../metrics.ts";
import { claimSteps, type LeasedStep } from "../queue/claim-steps.ts";
import { releaseSession } from "../queue/release-sessions.ts";
import type { Hints } from "../store/hints.ts";
import { advanceBuild } from "./advance-build.ts";
import { cancelBuild } from "./cancel-build.ts";
import { retryBuild } from "./retry-build.ts";

const deaf: Hints = { send() {}, wait: () => Promise.resolve(), on: () => () => {}, close: () => Promise.resolve() };
const WIDTH = 9_998;

// On tables that nobody has analyzed yet, where a plan that looks things up step by step takes minutes; every statement
// ends with an error when it takes longer than the pool lets it.
test("a build of ten thousand steps opens, goes on, is cancelled and is retried", async () => {
  await using fresh = await freshDatabase();
  const { db } = fresh;
  const core = {
    db,
    hints: deaf,
    metrics: openMetrics({ processMetrics: false }),
    logger: openLogger("test", "silent"),
  };
  const middle = Array.from({ length: WIDTH }, (_, i) => `s${i}`);
  const id = await runningBuild(db, [
    { key: "first" },
    ...middle.map((key) => ({ key, needs: ["first"] })),
    { key: "last", needs: middle },
  ]);
  const { claimant } = await attendingWorker(db);
  const counts = async () => {
    const rows = await db.sql<{ state: string; count: number }[]>`
      SELECT state, count(*)::int FROM steps WHERE build_id = ${id} GROUP BY state`;
    return Object.fromEntries(rows.map((row) => [row.state, row.count]));
  };
  const [{ stepId }] = (await claimSteps(db, claimant)) as [LeasedStep];
  await db.sql`
    UPDATE steps SET state = 'success', lease_id = NULL, session_id = NULL, finished_at = clock_timestamp()
    WHERE id = ${stepId}`;
  await advanceBuild(core, id, [stepId]);
  expect(await counts()).toEqual({ success: 1, queued: WIDTH, waiting: 1 });
  await claimSteps(db, claimant);
  await db.transaction((tx) => cancelBuild(tx, id, "Enough."));
  expect(await counts()).toEqual({ success: 1, leased: 8, cancellation: WIDTH - 7 });
  await releaseSession(db, claimant.sessionId, "gone");
  await advanceBuild(core, id);
  await db.transaction((tx) => retryBuild(tx, id, []));
  await advanceBuild(core, id);
  expect(await counts()).toEqual({ success: 1, queued: WIDTH, waiting: 1 });
  expect(await db.sql`SELECT FROM queue`).toHaveLength(WIDTH);
}, 60_000);
