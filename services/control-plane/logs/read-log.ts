import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { ReadLogRequest, ReadLogResponseSchema } from "@ritmo/contract/ritmo/log/v1/log_pb.js";
import { badField, Refusal } from "../../process/refusal.ts";
import { countLineEnds } from "./count-lines.ts";
import { unpackMarks } from "./log-marks.ts";
import { bytesOf, findLine, type LogPiece, type LogSource } from "./log-source.ts";

const MAX_ANSWER_BYTES = 1024 * 1024;

export interface LogTime {
  offset: bigint;
  at: Timestamp;
}

/** A stretch of raw bytes with what lies beside them. */
export interface LogSlice {
  data: Buffer;
  offset: number;
  /** The number of the line that the first byte belongs to, from 1. */
  firstLine: number;
  times: LogTime[];
}

/**
 * Answers a range of bytes or lines, at most 1 MiB of it. Errors: OUT_OF_RANGE (RANGE_PAST_END, with `end`) when it
 * starts past the end.
 */
export async function readLog(
  source: LogSource,
  range: ReadLogRequest["range"],
  over: boolean,
): Promise<MessageInitShape<typeof ReadLogResponseSchema>> {
  const { from, to } = await boundsOf(source, range);
  if (from > source.bytes) throw pastEnd(source.bytes, "bytes");
  const slices: LogSlice[] = [];
  const until = Math.min(to, source.bytes, from + MAX_ANSWER_BYTES);
  for await (const piece of source.pieces(from)) {
    if (piece.start >= until) break;
    const slice = await sliceOf(piece, from, until);
    if (slice) slices.push(slice);
  }
  const data = Buffer.concat(slices.map((slice) => slice.data));
  const next = from + data.length;
  return {
    data,
    offset: BigInt(from),
    firstLine: BigInt(slices[0]?.firstLine ?? (await lineAt(source, from))),
    nextOffset: BigInt(next),
    end: over && next === source.bytes,
    times: slices.flatMap((slice) => slice.times),
  };
}

/** What of a piece lies in [from, until), or undefined when nothing does. */
export async function sliceOf(piece: LogPiece, from: number, until: number): Promise<LogSlice | undefined> {
  const start = Math.max(from, piece.start);
  const end = Math.min(until, piece.start + piece.rawLength);
  if (end <= start) return undefined;
  const bytes = await bytesOf(piece);
  return {
    data: bytes.subarray(start - piece.start, end - piece.start),
    offset: start,
    firstLine: piece.linesBefore + countLineEnds(bytes, 0, start - piece.start) + 1,
    times: timesOf(piece, start, end),
  };
}

// The last time before the range holds for its first byte.
function timesOf(piece: LogPiece, start: number, end: number): LogTime[] {
  const times = unpackMarks(piece.marks)
    .filter((mark) => mark.mark.case === "readAt" && mark.at && mark.offset < BigInt(end))
    .map((mark) => ({ offset: mark.offset, at: mark.at as Timestamp }))
    .sort((a, b) => Number(a.offset - b.offset));
  const before = times.findLastIndex((time) => time.offset <= BigInt(start));
  return times.slice(Math.max(before, 0));
}

async function boundsOf(source: LogSource, range: ReadLogRequest["range"]): Promise<{ from: number; to: number }> {
  if (range.case !== "lines") {
    const from = Number(range.value?.offset ?? 0n);
    const length = Number(range.value?.length ?? 0n);
    return { from, to: length === 0 ? Number.POSITIVE_INFINITY : from + length };
  }
  const first = Number(range.value.first);
  if (first === 0) throw badField("lines.first", "lines count from 1");
  if (first > source.lineEnds + 1) throw pastEnd(source.lineEnds + 1, "lines");
  const count = Number(range.value.count);
  const to = count === 0 ? Number.POSITIVE_INFINITY : await findLine(source, first + count);
  return { from: await findLine(source, first), to };
}

async function lineAt(source: LogSource, offset: number): Promise<number> {
  if (offset >= source.bytes) return source.lineEnds + 1;
  for await (const piece of source.pieces(offset)) {
    const bytes = await bytesOf(piece);
    return piece.linesBefore + countLineEnds(bytes, 0, offset - piece.start) + 1;
  }
  return 1;
}

/** Refuses what starts past the end of a log. */
export function pastEnd(end: number, unit: "bytes" | "lines"): Refusal {
  return new Refusal("out_of_range", "RANGE_PAST_END", `the log has ${end} ${unit}`, {
    metadata: { end: String(end) },
  });
}
