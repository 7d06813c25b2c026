import postgres from "postgres";
import { expect, test } from "vitest";
import { openLogger } from "../../process/logger.ts";
import { newId } from "../../process/new-id.ts";
import { ORG } from "../../testing/build-fixture.ts";
import { freshDatabase } from "../../testing/fresh-database.ts";
import type { Core } from "../core.ts";
import { openMetrics } from "../metrics.ts";
import type { Hints } from "../store/hints.ts";
import type { Db } from "../store/open-database.ts";
import { createBuild } from "./create-build.ts";
import { planPendingBuilds } from "./plan-build.ts";

const deaf: Hints = { send() {}, wait: () => Promise.resolve(), on: () => () => {}, close: () => Promise.resolve() };

function coreOf(db: Db): Core {
  const stopping = new AbortController().signal;
  const parts = { db, hints: deaf, metrics: openMetrics({ processMetrics: false }), config: {}, stopping };
  return { ...parts, logger: openLogger("test", "silent") } as unknown as Core;
}

/** A database that, once, answers the statement that opens a build with `fault` instead. */
function failingToOpen(db: Db, fault: () => PromiseLike<unknown>): Db {
  let failed = false;
  const sql = new Proxy(db.sql, {
    apply(target, self, args: [TemplateStringsArray, ...never[]]) {
      if (failed || !args[0].raw || !args[0].join("").includes("UPDATE builds SET state = 'running'")) {
        return Reflect.apply(target, self, args);
      }
      failed = true;
      return Promise.resolve(fault());
    },
  });
  return { ...db, sql };
}

async function pendingBuild(db: Db): Promise<string> {
  const jobId = newId("job");
  const text = "version: 1\nsteps:\n  a: { checkout: false, run: echo }\n";
  await db.sql`INSERT INTO jobs (id, org_id, name, repository, pipeline_text) VALUES (${jobId}, ${ORG}, ${jobId.replace("_", "-").toLowerCase()}, '', ${text})`;
  return await createBuild(db.sql, { orgId: ORG, jobId, source: undefined, createdBy: "test" });
}

test("a connection that ends while a build is opened costs it a second and no try; another fault keeps its claim", async () => {
  await using fresh = await freshDatabase();
  const { db } = fresh;
  const stateOf = async (id: string) =>
    (
      await db.sql`
        SELECT state, plan_tries AS tries, planned_until < clock_timestamp() + interval '5 seconds' AS soon
        FROM builds WHERE id = ${id}`
    )[0];
  const id = await pendingBuild(db);
  const ended = postgres(fresh.url, { max: 1 });
  const away = failingToOpen(db, () => ended`SELECT pg_terminate_backend(pg_backend_pid())`);
  expect(await planPendingBuilds(coreOf(away), 1)).toBe(1);
  expect(await stateOf(id)).toEqual({ state: "pending", tries: 0, soon: true });
  await ended.end({ timeout: 0 });
  await db.sql`UPDATE builds SET planned_until = NULL`;
  expect(await planPendingBuilds(coreOf(away), 1)).toBe(1);
  expect(await stateOf(id)).toMatchObject({ state: "running", tries: 1 });

  const other = await pendingBuild(db);
  const broken = failingToOpen(db, () => Promise.reject(new Error("ours")));
  expect(await planPendingBuilds(coreOf(broken), 1)).toBe(1);
  expect(await stateOf(other)).toEqual({ state: "pending", tries: 1, soon: false });
});
