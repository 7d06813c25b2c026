import { leaseLost } from "../../process/refusal.ts";
import type { WorkerCaller } from "../identity/caller.ts";
import type { Sql } from "../store/open-database.ts";

/**
 * Records that an attempt's commands run, or that only delivery is left. Answers the organization; repeating it, or
 * being overtaken by a later stage, changes nothing. Refuses with LEASE_LOST.
 */
export async function startStep(
  sql: Sql,
  worker: WorkerCaller,
  leaseId: string,
  stage: "running" | "finishing",
  at: Date | undefined,
): Promise<void> {
  const from = stage === "running" ? ["leased"] : ["leased", "running"];
  const [row] = await sql<{ held: boolean }[]>`
    WITH held AS (
      SELECT a.id, a.step_id FROM attempts a
      WHERE a.lease_id = ${leaseId} AND a.worker_id = ${worker.workerId} AND a.finished_at IS NULL),
    step AS (
      UPDATE steps SET state = ${stage}, started_at = coalesce(steps.started_at, clock_timestamp())
      FROM held WHERE steps.id = held.step_id AND steps.lease_id = ${leaseId} AND steps.state = ANY(${from})
      RETURNING steps.id),
    attempt AS (
      UPDATE attempts SET state = ${stage}, started_at = coalesce(attempts.started_at, ${at ?? null}, clock_timestamp())
      FROM held, step WHERE attempts.id = held.id)
    SELECT EXISTS (SELECT FROM held) AS held`;
  if (!row?.held) throw leaseLost(leaseId);
}
