import { toBinary } from "@bufbuild/protobuf";
import { StepSchema } from "@ritmo/contract/ritmo/pipeline/v1/pipeline_pb.js";
import { newId } from "../../process/new-id.ts";
import type { Plan, PlannedStep } from "../pipeline/make-plan.ts";
import { forgetShapes, knownShapes, shapeKey } from "../queue/keep-shapes.ts";
import type { SourceAnswer } from "../source/read-source.ts";
import type { Db } from "../store/open-database.ts";

const DEFAULT_POOL = "default";
const FOREIGN_KEY_VIOLATION = "23503";

export interface OpenedBuild {
  pools: string[];
}

/**
 * Turns a planned build into steps in one statement: the build runs, steps without needs are queued, the rest wait.
 * Answers undefined when the build is no longer PENDING: it was cancelled, or another replica planned it.
 */
export async function openBuild(
  db: Db,
  build: { id: string; orgId: string },
  source: Omit<SourceAnswer, "pipelineText">,
  plan: Plan,
): Promise<OpenedBuild | undefined> {
  const shapes = await knownShapes(db.sql, build.orgId, plan.steps.map(shapeOf));
  const ids = new Map(plan.steps.map((step) => [step.key, newId("stp")]));
  const steps = plan.steps.map((step) => ({
    id: ids.get(step.key),
    key: step.key,
    position: step.position,
    spec: Buffer.from(toBinary(StepSchema, step.spec)).toString("base64"),
    shape: shapes.get(shapeKey(shapeOf(step))),
    ready: step.needs.length === 0,
  }));
  const needs = plan.steps.flatMap((step) =>
    step.needs.map((need) => ({ step: ids.get(step.key), need: ids.get(need) })),
  );
  const rows = await db.sql`
    WITH b AS (
      UPDATE builds SET state = 'running', commit = ${source.commit}, author_name = ${source.authorName},
        author_email = ${source.authorEmail}, message = ${source.message}, step_count = ${steps.length},
        started_at = clock_timestamp(), planned_until = NULL, revision = revision + 1
      WHERE id = ${build.id} AND state = 'pending' AND cancel_requested_at IS NULL
      RETURNING id, org_id),
    s AS (
      INSERT INTO steps (id, org_id, build_id, key, position, spec, shape_id, state, queued_at)
      SELECT r.id, b.org_id, b.id, r.key, r.position, decode(r.spec, 'base64'), r.shape,
        CASE WHEN r.ready THEN 'queued' ELSE 'waiting' END, CASE WHEN r.ready THEN clock_timestamp() END
      FROM b, jsonb_to_recordset(${db.sql.json(steps as never)})
        AS r(id text, key text, position integer, spec text, shape integer, ready boolean)
      ORDER BY r.position
      RETURNING id, shape_id, state, position),
    n AS (
      INSERT INTO step_needs (step_id, need_id)
      SELECT r.step, r.need FROM b, jsonb_to_recordset(${db.sql.json(needs as never)}) AS r(step text, need text)),
    q AS (
      INSERT INTO queue (step_id, shape_id) SELECT id, shape_id FROM s WHERE state = 'queued' ORDER BY position)
    SELECT id FROM b`.catch((reason: unknown) => {
    if ((reason as { code?: string }).code === FOREIGN_KEY_VIOLATION) forgetShapes(db.sql);
    throw reason;
  });
  return rows.length === 1 ? { pools: [DEFAULT_POOL] } : undefined;
}

function shapeOf(step: PlannedStep) {
  return {
    pool: DEFAULT_POOL,
    requires: step.requires,
    cpuMillis: step.spec.resources?.cpuMillis ?? 0,
    memoryBytes: Number(step.spec.resources?.memoryBytes ?? 0n),
  };
}
