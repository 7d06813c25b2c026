import type { Worker } from "@ritmo/contract/ritmo/fleet/v1/fleet_pb.js";
import type { Sql } from "../store/open-database.ts";
import { type WorkerRow, type WorkerStateName, workerMessage } from "./worker-message.ts";

/** One worker as the contract tells it, which must be there: callers resolve its name first. */
export async function readWorker(sql: Sql, workerId: string): Promise<Worker> {
  const [row] = await selectWorkers(sql, sql`w.id = ${workerId}`);
  if (!row) throw new Error(`the worker ${workerId} is gone`);
  return workerMessage(row);
}

/** A page of the workers by name, after a name. No states: any; no pool: all. */
export async function listWorkers(
  sql: Sql,
  orgId: string,
  filters: { states: WorkerStateName[]; pool: string },
  page: { after: string | undefined; limit: number },
): Promise<Worker[]> {
  const { states, pool } = filters;
  const rows = await selectWorkers(
    sql,
    sql`w.org_id = ${orgId} AND w.deleted_at IS NULL
      ${page.after === undefined ? sql`` : sql`AND w.name > ${page.after} COLLATE "C"`}
      ${states.length === 0 ? sql`` : sql`AND w.state = ANY (${states}::text[])`}
      ${pool === "" ? sql`` : sql`AND w.pool = ${pool}`}
    ORDER BY w.name COLLATE "C" LIMIT ${page.limit}`,
  );
  return rows.map(workerMessage);
}

function selectWorkers(sql: Sql, where: ReturnType<Sql>) {
  return sql<WorkerRow[]>`
    SELECT w.*, ARRAY(
      SELECT j.name || '#' || b.number || '/' || s.key
      FROM sessions e JOIN steps s ON s.session_id = e.id JOIN builds b ON b.id = s.build_id JOIN jobs j ON j.id = b.job_id
      WHERE e.worker_id = w.id ORDER BY s.id) AS steps
    FROM workers w WHERE ${where}`;
}
