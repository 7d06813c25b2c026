import { create } from "@bufbuild/protobuf";
import { durationMs, timestampDate } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  type FinishStepRequest,
  FinishStepResponseSchema,
  StartStepResponseSchema,
  StepStage,
  type WorkerService,
} from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import { inBatches } from "../../process/in-batches.ts";
import { badField } from "../../process/refusal.ts";
import { advanceEnded, type EndedStepOf } from "../builds/advance-ended.ts";
import { workerCallerOf } from "../edge/context.ts";
import { findErrorLine } from "../logs/find-error-line.ts";
import type { AttemptEnd } from "../queue/decide-end.ts";
import { type Finish, type FinishedAttempt, finishSteps, type ToldFinish } from "../queue/finish-step.ts";
import { startStep } from "../queue/start-step.ts";
import { isDatabaseAway } from "../store/read-database-error.ts";
import { attend } from "../workers/attend.ts";
import { syncWorker } from "../workers/sync-worker.ts";
import type { Attendance } from "../workers/worker-stream.ts";
import { workerBytes } from "./worker-bytes.ts";

// A batch is as large as what comes while another is under way; two, so that one works while the other commits.
// Where the database is away, each of a batch by itself would wait for a connection that does not come.
const BATCHES = { maxBatch: 100, atOnce: 2, failsAll: isDatabaseAway };
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** What workers may say. The same handlers serve any port; the worker port is the one that lets workers in. */
export function workerService(attendance: Attendance): ServiceImpl<typeof WorkerService> {
  const { core } = attendance;
  const finish = inBatches<ToldFinish, Finish | undefined>((told) => finishSteps(core.db.sql, told), BATCHES);
  const advance = inBatches<EndedStepOf, undefined>(async (ended) => {
    await advanceEnded(core, ended);
    return ended.map(() => ({ status: "fulfilled", value: undefined }));
  }, BATCHES);
  return {
    ...workerBytes(core),
    attend: (requests, context) => attend(attendance, workerCallerOf(context), requests, context.signal),
    sync: (request, context) => syncWorker(attendance, workerCallerOf(context), request),
    async startStep(request, context) {
      const worker = workerCallerOf(context);
      const stage = request.stage === StepStage.FINISHING ? "finishing" : "running";
      await startStep(
        core.db.sql,
        worker,
        readUuid("lease_id", request.leaseId),
        stage,
        request.at && timestampDate(request.at),
      );
      core.hints.send("events", worker.orgId);
      return create(StartStepResponseSchema);
    },
    async finishStep(request, context) {
      const ended = await finish({ worker: workerCallerOf(context), finish: decodeFinish(request) });
      if (ended) await followUp(attendance, ended, advance);
      return create(FinishStepResponseSchema);
    },
  };
}

/** What a finish brings with it; every part of it is found again by upkeep when this replica dies here. */
async function followUp(
  { core, dispatcher }: Attendance,
  finish: Finish,
  advance: (ended: EndedStepOf) => Promise<undefined>,
): Promise<void> {
  const { decision } = finish;
  core.hints.send("log", finish.attemptId);
  if (!dispatcher.roster.ended(finish.sessionId, finish.leaseId)) core.hints.send("session", finish.sessionId);
  if (decision.step === "queued") core.hints.send("queue", finish.pool);
  else {
    if (finish.seconds !== undefined) core.metrics.stepDuration.observe(finish.seconds);
    await advance(finish);
  }
  core.hints.send("events", finish.orgId);
  if (decision.attempt === "failure") {
    findErrorLine(core, finish.attemptId).catch((reason: unknown) =>
      core.logger.warn({ err: reason, attempt: finish.attemptId }, "no error line could be found"),
    );
  }
}

function decodeFinish(request: FinishStepRequest): FinishedAttempt {
  if (request.logSha256.length !== 0 && request.logSha256.length !== 32)
    throw badField("log_sha256", "must have 32 bytes");
  return {
    leaseId: readUuid("lease_id", request.leaseId),
    resultId: readUuid("result_id", request.resultId),
    end: decodeEnd(request.end),
    startedAt: request.startedAt && timestampDate(request.startedAt),
    endedAt: request.endedAt && timestampDate(request.endedAt),
    failedEntry: Math.min(request.failedEntry, 1_000_000),
    finalOffset: Number(request.finalOffset),
    finalPrepareOffset: Number(request.finalPrepareOffset),
    logSha256: request.logSha256,
    droppedLogBytes: Number(request.droppedLogBytes),
  };
}

function decodeEnd(end: FinishStepRequest["end"]): AttemptEnd {
  switch (end.case) {
    case "exited":
      return { kind: "exited", code: end.value.code };
    case "signalled":
      return { kind: "signalled", signal: end.value.signal.slice(0, 30) };
    case "outOfMemory":
      return { kind: "outOfMemory" };
    case "timedOut":
      return { kind: "timedOut", limitSeconds: end.value.limit ? durationMs(end.value.limit) / 1000 : 0 };
    case "stopped":
      return { kind: "stopped", reason: end.value.reason.slice(0, 500) };
    case "broken":
      return {
        kind: "broken",
        reason: /^[A-Z][A-Z0-9_]{0,62}$/.test(end.value.reason) ? end.value.reason : "BROKEN",
        message: end.value.message.slice(0, 2000),
        authorFault: end.value.authorFault,
      };
    default:
      throw badField("end", "says how the attempt ended, and is missing");
  }
}

function readUuid(field: string, text: string): string {
  if (!UUID.test(text)) throw badField(field, `${JSON.stringify(text.slice(0, 80))} is not a UUID`);
  return text.toLowerCase();
}
