import type { Build } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import type { Sql } from "../store/open-database.ts";
import { type BuildRow, buildMessage } from "./build-message.ts";
import { explainBlockedBuilds } from "./explain-blocked-builds.ts";

/**
 * Builds as the contract tells them, in the order of the ids; ids that are not there are left out. One that runs and
 * that no worker can go on with says so as its cause. `baseUrl` is the server's own outside address.
 */
export async function readBuilds(sql: Sql, buildIds: string[], baseUrl = ""): Promise<Build[]> {
  if (buildIds.length === 0) return [];
  const rows = await sql<BuildRow[]>`
    SELECT b.*, j.name AS job, c.*
    FROM unnest(${buildIds}::text[]) WITH ORDINALITY AS wanted(id, n)
    JOIN builds b ON b.id = wanted.id JOIN jobs j ON j.id = b.job_id
    CROSS JOIN LATERAL (
      SELECT count(*)::int AS total,
        (count(*) FILTER (WHERE s.state = 'waiting'))::int AS waiting,
        (count(*) FILTER (WHERE s.state = 'queued'))::int AS queued,
        (count(*) FILTER (WHERE s.state IN ('leased', 'running', 'finishing')))::int AS active,
        (count(*) FILTER (WHERE s.state = 'success'))::int AS succeeded,
        (count(*) FILTER (WHERE s.state IN ('failure', 'error', 'timeout')))::int AS failed,
        (count(*) FILTER (WHERE s.state IN ('cancellation', 'skip')))::int AS not_run
      FROM steps s WHERE s.build_id = b.id) c
    ORDER BY wanted.n`;
  const idle = rows.filter((row) => row.state === "running" && row.active === 0 && row.queued > 0);
  const causes = await explainBlockedBuilds(
    sql,
    idle.map((row) => row.id),
  );
  return rows.map((row) => buildMessage(row, baseUrl, causes.get(row.id)));
}

/** One build, which must be there: callers resolve its name first. */
export async function readBuild(sql: Sql, buildId: string, baseUrl = ""): Promise<Build> {
  const [build] = await readBuilds(sql, [buildId], baseUrl);
  if (!build) throw new Error(`the build ${buildId} is gone`);
  return build;
}
