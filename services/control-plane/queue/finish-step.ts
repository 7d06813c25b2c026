import { fromBinary } from "@bufbuild/protobuf";
import { StepSchema } from "@ritmo/contract/ritmo/pipeline/v1/pipeline_pb.js";
import { leaseLost, Refusal } from "../../process/refusal.ts";
import type { WorkerCaller } from "../identity/caller.ts";
import type { Sql } from "../store/open-database.ts";
import { type AttemptEnd, decideEnd, type EndDecision } from "./decide-end.ts";
import { type DecidedFinish, recordFinishes } from "./record-finishes.ts";

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
  leaseId: string;
  attemptId: string;
  stepId: string;
  buildId: string;
  sessionId: string;
  orgId: string;
  pool: string;
  decision: EndDecision;
  seconds: number | undefined;
}

/** A finish and the worker that tells it. */
export interface ToldFinish {
  worker: WorkerCaller;
  finish: FinishedAttempt;
}

interface Facts {
  leaseId: string;
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
  spec: Buffer | null;
}

interface Decided extends DecidedFinish {
  facts: Facts;
}

/**
 * Records how an attempt ended. The same result is answered alike for ever; it is looked up before the fence, since
 * a worker whose first answer was lost has no lease any more.
 * Refuses with LEASE_LOST, RESULT_CONFLICT, and LOG_BEHIND while log bytes are missing.
 */
export async function finishStep(sql: Sql, worker: WorkerCaller, finish: FinishedAttempt): Promise<Finish | undefined> {
  const [settled] = await finishSteps(sql, [{ worker, finish }]);
  if (settled?.status === "fulfilled") return settled.value;
  throw settled?.reason;
}

/** The same for several attempts at once, in two statements; each is answered by itself, in their order. */
export async function finishSteps(sql: Sql, told: ToldFinish[]): Promise<PromiseSettledResult<Finish | undefined>[]> {
  const facts = new Map((await readFacts(sql, told)).map((row) => [row.leaseId, row]));
  const answers = new Map<ToldFinish, PromiseSettledResult<Finish | undefined>>();
  const decided = new Map<string, Decided & { one: ToldFinish }>();
  const again: ToldFinish[] = [];
  for (const one of told) {
    try {
      // What was told twice at once meets its own first telling.
      if (decided.has(one.finish.leaseId)) again.push(one);
      else {
        const mine = decide(one, facts.get(one.finish.leaseId));
        if (mine) decided.set(one.finish.leaseId, { ...mine, one });
        else answers.set(one, { status: "fulfilled", value: undefined });
      }
    } catch (reason) {
      answers.set(one, { status: "rejected", reason });
    }
  }
  const rows = new Map((await recordFinishes(sql, [...decided.values()])).map(({ leaseId, ...row }) => [leaseId, row]));
  for (const [leaseId, { one, facts, decision }] of decided) {
    const row = rows.get(leaseId);
    if (row) answers.set(one, { status: "fulfilled", value: { ...facts, ...row, decision } });
    // Between reading and writing somebody else ended it, or asked it to stop: another reading tells which. Neither
    // happens twice to a lease.
    else again.push(one);
  }
  const later = again.length > 0 ? await finishSteps(sql, again) : [];
  for (const [i, answer] of later.entries()) answers.set(again[i] as ToldFinish, answer);
  return told.map((one) => answers.get(one) as PromiseSettledResult<Finish | undefined>);
}

function readFacts(sql: Sql, told: ToldFinish[]) {
  const failed = told.filter(({ finish }) => finish.failedEntry > 0).map(({ finish }) => finish.leaseId);
  return sql<Facts[]>`
    SELECT a.lease_id AS "leaseId", a.id AS "attemptId", a.step_id AS "stepId", a.build_id AS "buildId",
      a.session_id AS "sessionId", a.finished_at IS NULL AND s.lease_id = a.lease_id AS live,
      a.result_id AS "resultId", a.worker_id AS "workerId", a.log_end AS "logEnd", a.prepare_end AS "prepareEnd",
      s.cancel_requested_at IS NOT NULL AS "cancelRequested", b.cancel_reason AS "cancelReason", s.errors,
      CASE WHEN a.lease_id = ANY(${failed}::uuid[]) THEN s.spec END AS spec
    FROM attempts a JOIN steps s ON s.id = a.step_id JOIN builds b ON b.id = a.build_id
    WHERE a.lease_id = ANY(${told.map(({ finish }) => finish.leaseId)}::uuid[])`;
}

/** What the end means; undefined when it is known already. */
function decide({ worker, finish }: ToldFinish, facts: Facts | undefined): Decided | undefined {
  if (!facts || facts.workerId !== worker.workerId) throw leaseLost(finish.leaseId);
  if (facts.resultId === finish.resultId) return undefined;
  if (facts.resultId !== null) throw resultConflict(finish.leaseId);
  if (!facts.live) throw leaseLost(finish.leaseId);
  refuseWhileBehind("step", finish.finalOffset, facts.logEnd);
  refuseWhileBehind("prepare", finish.finalPrepareOffset, facts.prepareEnd);
  const { cancelRequested, cancelReason, errors, spec } = facts;
  const entries = spec ? fromBinary(StepSchema, spec).run.length : 0;
  const { failedEntry } = finish;
  const decision = decideEnd(finish.end, { cancelRequested, cancelReason, errors, failedEntry, entries });
  return { finish, facts, decision };
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
