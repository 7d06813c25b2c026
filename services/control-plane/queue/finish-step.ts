import { fromBinary } from "@bufbuild/protobuf";
import { StepSchema } from "@ritmo/contract/ritmo/pipeline/v1/pipeline_pb.js";
import { leaseLost, Refusal } from "../../process/refusal.ts";
import type { WorkerCaller } from "../identity/caller.ts";
import type { Sql } from "../store/open-database.ts";
import { type AttemptEnd, decideEnd, type EndDecision } from "./decide-end.ts";

export interface FinishedAttempt {
  leaseId: string;
  resultId: string;
  end: AttemptEnd;
  startedAt: Date | undefined;
  endedAt: Date | undefined;
  failedEntry: number;
  finalOffset: number;
  finalPrepareOffset: number;
  /** Empty: the worker does not know it, because an earlier life of it delivered a part or a full disk took one. */
  logSha256: Uint8Array;
  droppedLogBytes: number;
}

/** What the finish of an attempt changed; undefined when it was known already. */
export interface Finish {
  attemptId: string;
  stepId: string;
  buildId: string;
  sessionId: string;
  orgId: string;
  pool: string;
  decision: EndDecision;
  seconds: number | undefined;
}

interface Facts {
  attemptId: string;
  stepId: string;
  buildId: string;
  sessionId: string;
  live: boolean;
  resultId: string | null;
  workerId: string;
  logEnd: number;
  prepareEnd: number;
  cancelRequested: boolean;
  cancelReason: string;
  errors: number;
  spec: Buffer;
}

/**
 * Records how an attempt ended. The same result is answered alike for ever; it is looked up before the fence, since
 * a worker whose first answer was lost has no lease any more.
 * Refuses with LEASE_LOST, RESULT_CONFLICT, and LOG_BEHIND while log bytes are missing.
 */
export async function finishStep(sql: Sql, worker: WorkerCaller, finish: FinishedAttempt): Promise<Finish | undefined> {
  const [facts] = await sql<Facts[]>`
    SELECT a.id AS "attemptId", a.step_id AS "stepId", a.build_id AS "buildId", a.session_id AS "sessionId",
      a.finished_at IS NULL AND s.lease_id = a.lease_id AS live, a.result_id AS "resultId", a.worker_id AS "workerId",
      a.log_end AS "logEnd", a.prepare_end AS "prepareEnd", s.cancel_requested_at IS NOT NULL AS "cancelRequested",
      b.cancel_reason AS "cancelReason", s.errors, s.spec
    FROM attempts a JOIN steps s ON s.id = a.step_id JOIN builds b ON b.id = a.build_id
    WHERE a.lease_id = ${finish.leaseId}`;
  if (!facts || facts.workerId !== worker.workerId) throw leaseLost(finish.leaseId);
  if (facts.resultId === finish.resultId) return undefined;
  if (facts.resultId !== null) throw resultConflict(finish.leaseId);
  if (!facts.live) throw leaseLost(finish.leaseId);
  refuseWhileBehind("step", finish.finalOffset, facts.logEnd);
  refuseWhileBehind("prepare", finish.finalPrepareOffset, facts.prepareEnd);
  const decision = decideEnd(finish.end, {
    cancelRequested: facts.cancelRequested,
    cancelReason: facts.cancelReason,
    errors: facts.errors,
    failedEntry: finish.failedEntry,
    entries: fromBinary(StepSchema, facts.spec).run.length,
  });
  const [row] = await record(sql, finish, decision);
  // Between reading and writing somebody else ended it.
  if (!row) throw leaseLost(finish.leaseId);
  return { ...facts, ...row, decision };
}

function record(sql: Sql, finish: FinishedAttempt, decision: EndDecision) {
  const exitCode = finish.end.kind === "exited" ? finish.end.code : null;
  const over = decision.step !== "queued";
  return sql<{ orgId: string; pool: string; seconds: number | undefined }[]>`
    WITH step AS (
      UPDATE steps SET state = ${decision.step}, lease_id = NULL, session_id = NULL, exit_code = ${exitCode},
        reason = ${decision.reason}, cause = ${decision.cause}, errors = errors + ${decision.error ? 1 : 0},
        started_at = CASE WHEN ${over} THEN coalesce(started_at, clock_timestamp()) END,
        queued_at = CASE WHEN ${over} THEN queued_at ELSE clock_timestamp() END,
        finished_at = CASE WHEN ${over} THEN clock_timestamp() END
      WHERE lease_id = ${finish.leaseId} AND state IN ('leased', 'running', 'finishing')
      RETURNING id, org_id, shape_id, started_at, finished_at),
    attempt AS (
      UPDATE attempts SET state = ${decision.attempt}, result_id = ${finish.resultId}, exit_code = ${exitCode},
        signal = ${finish.end.kind === "signalled" ? finish.end.signal : ""},
        out_of_memory = ${finish.end.kind === "outOfMemory"}, failed_entry = ${finish.failedEntry},
        reason = ${decision.reason}, cause = ${decision.cause},
        started_at = coalesce(attempts.started_at, ${finish.startedAt ?? null}), finished_at = clock_timestamp(),
        log_final = ${finish.finalOffset}, log_sha256 = ${finish.logSha256.length > 0 ? Buffer.from(finish.logSha256) : null},
        log_dropped = ${finish.droppedLogBytes}
      FROM step WHERE attempts.lease_id = ${finish.leaseId}
      RETURNING attempts.id),
    again AS (
      -- In front: it has waited already.
      INSERT INTO queue (step_id, shape_id, order_key) OVERRIDING SYSTEM VALUE
      SELECT id, shape_id, 0 FROM step WHERE ${!over})
    SELECT step.org_id AS "orgId", h.pool, extract(epoch FROM step.finished_at - step.started_at)::float8 AS seconds
    FROM step JOIN attempt ON true JOIN shapes h ON h.id = step.shape_id`;
}

function resultConflict(leaseId: string): Refusal {
  return new Refusal("already_exists", "RESULT_CONFLICT", `the attempt of lease ${leaseId} ended with another result`, {
    metadata: { lease_id: leaseId },
  });
}

function refuseWhileBehind(log: "step" | "prepare", final: number, durable: number): void {
  if (final <= durable) return;
  throw new Refusal("failed_precondition", "LOG_BEHIND", `the ${log} log is durable up to ${durable}, not ${final}`, {
    metadata: { expected_offset: String(durable), log },
  });
}
