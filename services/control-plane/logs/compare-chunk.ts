import { promisify } from "node:util";
import { zstdCompress } from "node:zlib";
import { crc32c } from "../../process/crc32c.ts";
import { Refusal } from "../../process/refusal.ts";
import type { Sql } from "../store/open-database.ts";
import type { LogPlace } from "./append-log.ts";
import { countLineEnds } from "./count-lines.ts";
import { LOG_LIMITS } from "./log-limits.ts";
import { packMarks, unpackMarks } from "./log-marks.ts";
import { CODEC, unpackChunk } from "./unpack-chunk.ts";
import type { LogChunk } from "./verify-chunk.ts";

const compress = promisify(zstdCompress);

interface StoredChunk {
  start: number;
  rawLength: number;
  codec: number;
  data: Buffer;
}

/**
 * Compares what a chunk says about bytes below the end of the log with what was acknowledged there. Answers what of
 * the chunk lies past the end, as a chunk of its own. Errors: DATA_LOSS (LOG_CONFLICT) when the bytes differ; those
 * that were first stand.
 */
export async function compareChunk(sql: Sql, place: LogPlace, chunk: LogChunk): Promise<LogChunk | undefined> {
  if (chunk.rawLength === 0) return undefined;
  const raw = await unpackChunk(chunk.codec, chunk.data, chunk.rawLength);
  const to = Math.min(chunk.start + chunk.rawLength, place.end);
  for (const stored of await readOverlap(sql, place, chunk, to)) {
    const theirs = await unpackChunk(stored.codec, stored.data, stored.rawLength);
    const from = Math.max(chunk.start, stored.start);
    const until = Math.min(to, stored.start + stored.rawLength);
    const same = raw
      .subarray(from - chunk.start, until - chunk.start)
      .equals(theirs.subarray(from - stored.start, until - stored.start));
    if (!same) throw conflict(place, chunk);
  }
  return chunk.start + chunk.rawLength > to ? cutFront(chunk, raw, to) : undefined;
}

async function readOverlap(sql: Sql, { attemptId, day }: LogPlace, chunk: LogChunk, to: number) {
  return sql<StoredChunk[]>`
    SELECT start_offset AS start, raw_length AS "rawLength", codec, data FROM log_chunks
    WHERE day = ${day}::date AND attempt_id = ${attemptId} AND kind = ${chunk.kind}
      AND start_offset > ${chunk.start - LOG_LIMITS.maxChunkBytes} AND start_offset < ${to}
      AND start_offset + raw_length > ${chunk.start}
    ORDER BY start_offset`;
}

async function cutFront(chunk: LogChunk, raw: Buffer, from: number): Promise<LogChunk> {
  const rest = raw.subarray(from - chunk.start);
  return {
    ...chunk,
    start: from,
    rawLength: rest.length,
    codec: CODEC.zstd,
    crc32c: crc32c(rest),
    lines: countLineEnds(rest),
    marks: packMarks(unpackMarks(chunk.marks).filter((mark) => mark.offset >= BigInt(from))),
    data: await compress(rest),
  };
}

function conflict(place: LogPlace, chunk: LogChunk): Refusal {
  return new Refusal(
    "data_loss",
    "LOG_CONFLICT",
    `other bytes than these were acknowledged at ${chunk.start}; those stand`,
    { metadata: { attempt_id: place.attemptId, offset: String(chunk.start), expected_offset: String(place.end) } },
  );
}
