import type { Attempt, Step } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import type { Sql } from "../store/open-database.ts";
import type { StepStateName } from "./state-names.ts";
import { type AttemptRow, attemptMessage, type StepRow, stepMessage } from "./step-message.ts";

/** One step as the contract tells it, which must be there: callers resolve its name first. */
export async function readStep(sql: Sql, stepId: string): Promise<Step> {
  const [row] = await selectSteps(sql, sql`s.id = ${stepId}`);
  if (!row) throw new Error(`the step ${stepId} is gone`);
  return stepMessage(row);
}

/** A page of a build's steps in the pipeline's order, after a position. No states: any. */
export async function listSteps(
  sql: Sql,
  buildId: string,
  states: StepStateName[],
  page: { after: number | undefined; limit: number },
): Promise<Step[]> {
  const rows = await selectSteps(
    sql,
    sql`s.build_id = ${buildId} AND s.position > ${page.after ?? -1}
      ${states.length === 0 ? sql`` : sql`AND s.state = ANY (${states}::text[])`}
    ORDER BY s.position LIMIT ${page.limit}`,
  );
  return rows.map(stepMessage);
}

function selectSteps(sql: Sql, where: ReturnType<Sql>) {
  return sql<StepRow[]>`
    SELECT s.*, j.name || '#' || b.number || '/' || s.key AS name, a.id AS attempt_id, w.name AS worker,
      ARRAY(SELECT n.key FROM step_needs d JOIN steps n ON n.id = d.need_id
        WHERE d.step_id = s.id ORDER BY n.position) AS needs
    FROM steps s JOIN builds b ON b.id = s.build_id JOIN jobs j ON j.id = b.job_id
    LEFT JOIN attempts a ON a.step_id = s.id AND a.number = s.attempt
    LEFT JOIN workers w ON w.id = a.worker_id
    WHERE ${where}`;
}

/** Every attempt of a step, the first first. */
export async function listAttempts(sql: Sql, stepId: string): Promise<Attempt[]> {
  const rows = await sql<AttemptRow[]>`
    SELECT a.*, j.name || '#' || b.number || '/' || s.key || '@' || a.number AS name, w.name AS worker
    FROM attempts a JOIN steps s ON s.id = a.step_id JOIN builds b ON b.id = a.build_id JOIN jobs j ON j.id = b.job_id
    JOIN workers w ON w.id = a.worker_id
    WHERE a.step_id = ${stepId} ORDER BY a.number`;
  return rows.map(attemptMessage);
}
