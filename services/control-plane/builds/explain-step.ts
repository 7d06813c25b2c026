import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type ExplainStepResponse, ExplainStepResponseSchema } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import { labelSet } from "../fleet/label-set.ts";
import type { Sql } from "../store/open-database.ts";
import { decideExplanation, type Explanation, type StepFacts } from "./decide-explanation.ts";
import type { WorkerFacts } from "./judge-worker.ts";
import { readBlockFacts } from "./read-block-facts.ts";
import { readStep } from "./read-steps.ts";
import type { StepStateName } from "./state-names.ts";

interface Row {
  orgId: string;
  key: string;
  state: StepStateName;
  cause: string;
  exitCode: number | null;
  cancelRequested: boolean;
  queuedAt: Date | null;
  shapeId: number;
  pool: string;
  requires: string[];
  cpuMillis: number;
  memoryBytes: number;
  attemptId: string | null;
  leasedAt: Date | null;
  worker: string | null;
  workerId: string | null;
}

/** Says in words and in facts why a step waits, where it runs or how it ended. The step must be there. */
export async function explainStep(sql: Sql, stepId: string): Promise<ExplainStepResponse> {
  const [row] = await sql<Row[]>`
    SELECT s.org_id AS "orgId", s.key, s.state, s.cause, s.exit_code AS "exitCode", s.queued_at AS "queuedAt",
      s.cancel_requested_at IS NOT NULL AS "cancelRequested", s.shape_id AS "shapeId", p.pool, p.requires,
      p.cpu_millis AS "cpuMillis", p.memory_bytes AS "memoryBytes",
      a.id AS "attemptId", a.leased_at AS "leasedAt", w.name AS worker, w.id AS "workerId"
    FROM steps s JOIN shapes p ON p.id = s.shape_id
    LEFT JOIN attempts a ON a.step_id = s.id AND a.number = s.attempt
    LEFT JOIN workers w ON w.id = a.worker_id
    WHERE s.id = ${stepId}`;
  if (!row) throw new Error(`the step ${stepId} is gone`);
  const facts = await readFacts(sql, stepId, row);
  const explanation = decideExplanation(facts);
  return create(ExplainStepResponseSchema, {
    step: await readStep(sql, stepId),
    summary: explanation.summary,
    remedy: explanation.remedy,
    why: whyMessage(explanation, facts, row),
  });
}

async function readFacts(sql: Sql, stepId: string, row: Row): Promise<StepFacts> {
  const { key, state, cause, exitCode, cancelRequested, worker, pool, requires, cpuMillis, memoryBytes } = row;
  const queued = state === "queued";
  return {
    ...{ key, state, cause, exitCode, cancelRequested, worker },
    wish: { pool, requires, cpuMillis, memoryBytes },
    needs: state === "waiting" ? await readNeeds(sql, stepId) : [],
    queuePosition: queued ? await readQueuePosition(sql, stepId) : 0,
    workers: queued ? await readWorkerFacts(sql, row.orgId, pool) : [],
    block: queued ? (await readBlockFacts(sql, [row.shapeId])).get(row.shapeId) : undefined,
    becauseOf: state === "skip" ? await readBecauseOf(sql, stepId) : [],
  };
}

async function readNeeds(sql: Sql, stepId: string): Promise<{ key: string; over: boolean }[]> {
  return await sql<{ key: string; over: boolean }[]>`
    SELECT n.key, n.finished_at IS NOT NULL AS over
    FROM step_needs d JOIN steps n ON n.id = d.need_id WHERE d.step_id = ${stepId} ORDER BY n.position`;
}

async function readQueuePosition(sql: Sql, stepId: string): Promise<number> {
  const [row] = await sql<{ before: number }[]>`
    SELECT count(*)::int AS before FROM queue mine JOIN queue q ON q.shape_id = mine.shape_id
      AND (q.priority > mine.priority OR (q.priority = mine.priority AND q.order_key < mine.order_key))
    WHERE mine.step_id = ${stepId}`;
  return row?.before ?? 0;
}

async function readWorkerFacts(sql: Sql, orgId: string, pool: string): Promise<WorkerFacts[]> {
  return await sql<WorkerFacts[]>`
    SELECT w.id, w.name, w.state, w.draining, w.drain_reason AS "drainReason", w.slots, w.last_seen_at AS "lastSeenAt",
      ${labelSet(sql)} AS labels, nullif((w.machine ->> 'cpus')::int, 0) * 1000 AS "cpuMillis",
      nullif((w.machine ->> 'memory_bytes')::bigint, 0) AS "memoryBytes", coalesce(b.busy, 0) AS busy
    FROM workers w LEFT JOIN (
      SELECT worker_id, count(*)::int AS busy FROM attempts WHERE finished_at IS NULL GROUP BY worker_id) b
      ON b.worker_id = w.id
    WHERE w.org_id = ${orgId} AND w.pool = ${pool} AND w.deleted_at IS NULL`;
}

/** Through steps that were skipped themselves, down to those that began it. */
async function readBecauseOf(sql: Sql, stepId: string): Promise<string[]> {
  const rows = await sql<{ key: string }[]>`
    WITH RECURSIVE before AS (
      SELECT n.id, n.key, n.state, n.position FROM step_needs d JOIN steps n ON n.id = d.need_id
      WHERE d.step_id = ${stepId} AND n.state <> 'success'
      UNION
      SELECT n.id, n.key, n.state, n.position FROM before b JOIN step_needs d ON d.step_id = b.id
      JOIN steps n ON n.id = d.need_id WHERE b.state = 'skip' AND n.state <> 'success')
    SELECT key FROM before WHERE state <> 'skip' ORDER BY position`;
  return rows.map((row) => row.key);
}

function whyMessage({ why }: Explanation, facts: StepFacts, row: Row) {
  const { worker, workerId, attemptId, leasedAt, queuedAt } = row;
  switch (why.kind) {
    case "steps":
      return { case: "waitsForSteps" as const, value: { steps: why.steps } };
    case "worker": {
      const at = queuedAt ? { queuedAt: timestampFromDate(queuedAt) } : {};
      const value = { workers: why.verdicts, queuePosition: facts.queuePosition, ...at };
      return { case: "waitsForWorker" as const, value };
    }
    case "runs": {
      const at = leasedAt ? { leasedAt: timestampFromDate(leasedAt) } : {};
      return { case: "runs" as const, value: { worker: worker ?? "", workerId: workerId ?? "", ...at } };
    }
    case "over":
      return { case: "over" as const, value: { attemptId: attemptId ?? "", becauseOf: facts.becauseOf } };
  }
}
