import { constants, zstdCompressSync } from "node:zlib";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type Timestamp, TimestampSchema } from "@bufbuild/protobuf/wkt";
import type { LogKind } from "@ritmo/contract/ritmo/log/v1/log_pb.js";
import {
  type AppendLogRequest,
  AppendLogRequestSchema,
  Codec,
  type Mark,
  MarkSchema,
} from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import { crc32c } from "../../process/crc32c.ts";
import type { LogRecord } from "./record.ts";

// Below this a frame's own head costs more than it saves.
const MIN_PACKED_BYTES = 128;
// Two reads closer than this share one time.
const READ_AT_EVERY_MS = 10;

/** Makes one chunk of neighbouring records: packed where that is smaller, with what is known about its places. */
export function packChunk(leaseId: string, kind: LogKind, records: LogRecord[]): AppendLogRequest {
  const raw = Buffer.concat(records.flatMap((record) => (record.kind === "bytes" ? [record.bytes] : [])));
  const packed = raw.length >= MIN_PACKED_BYTES ? zstdCompressSync(raw, LEVEL_1) : raw;
  const smaller = packed.length < raw.length;
  return create(AppendLogRequestSchema, {
    leaseId,
    kind,
    offset: BigInt(records[0]?.offset ?? 0),
    codec: smaller ? Codec.ZSTD : Codec.RAW,
    data: smaller ? packed : raw,
    rawLength: raw.length,
    crc32c: crc32c(raw),
    lines: countLineEnds(raw),
    marks: makeMarks(records),
  });
}

// In one piece where it can be, instead of many of 16 KiB.
const LEVEL_1 = { params: { [constants.ZSTD_c_compressionLevel]: 1 }, chunkSize: 128 * 1024 };

function countLineEnds(bytes: Buffer): number {
  let lines = 0;
  for (let at = bytes.indexOf(0x0a); at >= 0; at = bytes.indexOf(0x0a, at + 1)) lines++;
  return lines;
}

function makeMarks(records: LogRecord[]): Mark[] {
  const marks: Mark[] = [];
  let readAtMs = Number.NEGATIVE_INFINITY;
  for (const record of records) {
    if (record.kind === "bytes" && record.atMs - readAtMs < READ_AT_EVERY_MS) continue;
    if (record.kind === "bytes") readAtMs = record.atMs;
    marks.push(
      create(MarkSchema, { offset: BigInt(record.offset), at: timestamp(record.atMs), mark: meaning(record) }),
    );
  }
  return marks;
}

function meaning(record: LogRecord): NonNullable<MessageInitShape<typeof MarkSchema>["mark"]> {
  switch (record.kind) {
    case "bytes":
      return { case: "readAt", value: {} };
    case "begin":
      return { case: "groupBegin", value: { name: record.name, entry: record.entry } };
    case "end":
      return { case: "groupEnd", value: {} };
    case "dropped":
      return { case: "dropped", value: { bytes: BigInt(record.droppedBytes) } };
  }
}

/** A moment of the system's clock, for people. */
export function timestamp(atMs: number): Timestamp {
  const seconds = Math.floor(atMs / 1000);
  return create(TimestampSchema, { seconds: BigInt(seconds), nanos: Math.round((atMs - seconds * 1000) * 1e6) });
}
