import { crc32 } from "node:zlib";

/** One entry of a spool file: bytes as they were read, or something about the place between two bytes. */
export type LogRecord = { offset: number; atMs: number } & (
  | { kind: "bytes"; bytes: Buffer }
  | { kind: "begin"; name: string; entry: number }
  | { kind: "end" }
  | { kind: "dropped"; droppedBytes: number }
);

// length of the body (4), CRC-32 of what follows (4), kind (1), offset (8), time (8), body.
const HEAD_BYTES = 25;
const KINDS = ["bytes", "begin", "end", "dropped"] as const;

/** The records one after another, each with its checksum. */
export function encodeRecords(records: LogRecord[]): Buffer {
  return Buffer.concat(records.flatMap(encodeRecord));
}

function encodeRecord(record: LogRecord): Buffer[] {
  const body = bodyOf(record);
  const head = Buffer.allocUnsafe(HEAD_BYTES);
  head.writeUInt32LE(body.length, 0);
  head.writeUInt8(KINDS.indexOf(record.kind), 8);
  head.writeDoubleLE(record.offset, 9);
  head.writeDoubleLE(record.atMs, 17);
  head.writeUInt32LE(crc32(body, crc32(head.subarray(8))), 4);
  return [head, body];
}

function bodyOf(record: LogRecord): Buffer {
  if (record.kind === "bytes") return record.bytes;
  const { offset: _offset, atMs: _atMs, kind: _kind, ...rest } = record;
  return Buffer.from(JSON.stringify(rest));
}

/**
 * Reads whole records up to the first that is cut off, or damaged where `check` is set; `endsAt` is where each ends in
 * the bytes given.
 */
export function decodeRecords(bytes: Buffer, check = true): { record: LogRecord; endsAt: number }[] {
  const decoded: { record: LogRecord; endsAt: number }[] = [];
  for (let at = 0; at + HEAD_BYTES <= bytes.length; ) {
    const endsAt = at + HEAD_BYTES + bytes.readUInt32LE(at);
    if (endsAt > bytes.length) break;
    if (check && crc32(bytes.subarray(at + 8, endsAt)) !== bytes.readUInt32LE(at + 4)) break;
    decoded.push({ record: decodeRecord(bytes.subarray(at, endsAt)), endsAt });
    at = endsAt;
  }
  return decoded;
}

function decodeRecord(bytes: Buffer): LogRecord {
  const kind = KINDS[bytes.readUInt8(8)];
  const place = { offset: bytes.readDoubleLE(9), atMs: bytes.readDoubleLE(17) };
  const body = bytes.subarray(HEAD_BYTES);
  if (kind === "bytes") return { kind, bytes: body, ...place };
  return { kind, ...place, ...JSON.parse(body.toString()) } as LogRecord;
}
