import type { AppendLogRequest } from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import { crc32c } from "../../process/crc32c.ts";
import { badField, Refusal } from "../../process/refusal.ts";
import { countLineEnds } from "./count-lines.ts";
import { LOG_LIMITS, MARKER_ALLOWANCE_BYTES, MAX_MARKS_PER_CHUNK } from "./log-limits.ts";
import { packMarks } from "./log-marks.ts";
import { CODEC, type Codec, unpackChunk } from "./unpack-chunk.ts";

/** 1: what the step wrote; 2: the preparation. */
export type LogKind = 1 | 2;

/** One chunk that holds what it promised. */
export interface LogChunk {
  kind: LogKind;
  start: number;
  /** 0: marks without bytes. */
  rawLength: number;
  codec: Codec;
  crc32c: number;
  lines: number;
  marks: Uint8Array;
  /** As it came. */
  data: Uint8Array;
}

/** The two logs by their numbers; nothing said means what the step wrote. */
export function logKindOf(kind: number, field = "kind"): LogKind {
  if (kind === 0 || kind === 1) return 1;
  if (kind === 2) return 2;
  throw badField(field, `${kind} is no kind of log`);
}

/**
 * Checks a chunk against its own promises. Errors: INVALID_ARGUMENT for fields that can't be; RESOURCE_EXHAUSTED
 * (CHUNK_TOO_LARGE, LOG_TOO_LARGE); DATA_LOSS (LOG_CORRUPT) when bytes, length, checksum or lines do not agree.
 */
export async function verifyChunk(request: AppendLogRequest): Promise<LogChunk> {
  const kind = logKindOf(request.kind);
  const codec = codecOf(request.codec);
  const { rawLength, data } = request;
  refuseTooLarge(request);
  const start = Number(request.offset);
  for (const mark of request.marks) {
    if (mark.offset < request.offset || mark.offset > request.offset + BigInt(rawLength)) {
      throw badField("marks.offset", `${mark.offset} is not within the chunk`);
    }
  }
  if (rawLength === 0 && (data.length > 0 || request.marks.length === 0)) throw badField("raw_length", "is 0");
  if (rawLength > 0) await verifyBytes(request);
  return {
    kind,
    start,
    rawLength,
    codec,
    crc32c: request.crc32c,
    lines: request.lines,
    marks: packMarks(request.marks),
    data,
  };
}

function codecOf(codec: number): Codec {
  if (codec === CODEC.raw || codec === CODEC.zstd) return codec;
  throw badField("codec", `${codec} is no codec`);
}

function refuseTooLarge({ rawLength, data, offset, marks }: AppendLogRequest): void {
  const { maxChunkBytes, maxLogBytes } = LOG_LIMITS;
  // Bytes that do not compress grow a little.
  if (rawLength > maxChunkBytes || data.length > maxChunkBytes + 4096) {
    throw new Refusal("resource_exhausted", "CHUNK_TOO_LARGE", `a chunk has at most ${maxChunkBytes} raw bytes`);
  }
  if (offset + BigInt(rawLength) > BigInt(maxLogBytes + MARKER_ALLOWANCE_BYTES)) {
    throw new Refusal("resource_exhausted", "LOG_TOO_LARGE", `a log has at most ${maxLogBytes} bytes`);
  }
  if (marks.length > MAX_MARKS_PER_CHUNK) throw badField("marks", `are more than ${MAX_MARKS_PER_CHUNK}`);
}

async function verifyBytes({ codec, data, rawLength, crc32c: promised, lines, offset }: AppendLogRequest) {
  const raw = await unpackChunk(codec, data, rawLength).catch((reason: unknown) => {
    throw reason instanceof RangeError ? corrupt(offset, reason.message) : reason;
  });
  const found = crc32c(raw);
  if (found !== promised) throw corrupt(offset, `CRC-32C is ${found}, not ${promised} as promised`);
  const ends = countLineEnds(raw);
  if (ends !== lines) throw corrupt(offset, `${ends} line ends, not ${lines} as promised`);
}

function corrupt(offset: bigint, what: string): Refusal {
  return new Refusal("data_loss", "LOG_CORRUPT", `the chunk at ${offset} is not what it says: ${what}`, {
    metadata: { offset: String(offset) },
  });
}
