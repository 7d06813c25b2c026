import { zstdCompressSync } from "node:zlib";
import { create } from "@bufbuild/protobuf";
import {
  type AppendLogRequest,
  AppendLogRequestSchema,
  type Mark,
  MarkSchema,
} from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import { type AppendDeps, appendLog } from "../control-plane/logs/append-log.ts";
import { countLineEnds } from "../control-plane/logs/count-lines.ts";
import type { LogWriter } from "../control-plane/logs/insert-chunks.ts";
import { type LogKind, verifyChunk } from "../control-plane/logs/verify-chunk.ts";
import type { Db } from "../control-plane/store/open-database.ts";
import { crc32c } from "../process/crc32c.ts";
import { plantAttempt, plantBuild, plantJob, plantStep, plantWorker } from "./plant-rows.ts";

/** An attempt that runs, and who holds it. */
export interface PlantedAttempt extends LogWriter {
  attemptId: string;
  buildId: string;
  stepId: string;
}

let count = 0;

/** A running attempt of a step on a worker of its own. */
export async function plantRunning(db: Db, key = "test", build?: string): Promise<PlantedAttempt> {
  const { sql } = db;
  const n = ++count;
  const buildId = build ?? (await plantBuild(sql, await plantJob(sql, `job-${n}`)));
  const worker = await plantWorker(sql, `worker-${n}`);
  const stepId = await plantStep(sql, buildId, { key, state: "running", sessionId: worker.sessionId });
  const attemptId = await plantAttempt(sql, stepId, worker);
  const [row] = await sql<{ leaseId: string }[]>`SELECT lease_id AS "leaseId" FROM attempts WHERE id = ${attemptId}`;
  return { attemptId, buildId, stepId, workerId: worker.id, leaseId: row?.leaseId as string };
}

/** Ends the attempt as the queue would: nothing of it is accepted from here on. */
export async function endAttempt(db: Db, attemptId: string, state = "success"): Promise<void> {
  await db.sql`UPDATE attempts SET state = ${state}, finished_at = clock_timestamp(), log_final = log_end
    WHERE id = ${attemptId}`;
}

/** A chunk as a worker sends it. */
export function chunkOf(
  leaseId: string,
  offset: number,
  bytes: Buffer | string,
  more: { kind?: LogKind; raw?: boolean; marks?: Mark[] } = {},
): AppendLogRequest {
  const raw = Buffer.from(bytes as Buffer);
  return create(AppendLogRequestSchema, {
    leaseId,
    kind: more.kind ?? 1,
    offset: BigInt(offset),
    codec: more.raw ? 1 : 2,
    data: raw.length === 0 ? raw : more.raw ? raw : zstdCompressSync(raw),
    rawLength: raw.length,
    crc32c: crc32c(raw),
    lines: countLineEnds(raw),
    marks: more.marks ?? [],
  });
}

export function markOf(offset: number, mark: Mark["mark"], seconds = 1_700_000_000): Mark {
  return create(MarkSchema, { offset: BigInt(offset), mark, at: { seconds: BigInt(seconds), nanos: 0 } });
}

/** Appends bytes to an attempt's log in chunks of a size, through the same door as a worker's. */
export async function writeLog(
  deps: AppendDeps,
  writer: LogWriter,
  bytes: Buffer | string,
  { from = 0, chunkBytes = 512 * 1024, kind = 1 }: { from?: number; chunkBytes?: number; kind?: LogKind } = {},
): Promise<number> {
  const raw = Buffer.from(bytes as Buffer);
  let durable = from;
  for (let at = 0; at < raw.length; at += chunkBytes) {
    const request = chunkOf(writer.leaseId, from + at, raw.subarray(at, at + chunkBytes), { kind });
    durable = await appendLog(deps, writer, [await verifyChunk(request)]);
  }
  return durable;
}
