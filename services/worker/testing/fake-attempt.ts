import { zstdDecompressSync } from "node:zlib";
import { LogKind } from "@ritmo/contract/ritmo/log/v1/log_pb.js";
import {
  type AppendLogRequest,
  type BeginUploadRequest,
  Codec,
  type FinishStepRequest,
  type Mark,
  type Offer,
} from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import { crc32c } from "../../process/crc32c.ts";
import { refusal } from "./serve-peer.ts";

export interface FakeUpload {
  id: string;
  request: BeginUploadRequest;
  bytes: Buffer;
  sends: number;
  parts: [number, string][];
  committed: boolean;
}

/** One attempt as the fake control plane sees it. */
export interface FakeAttempt {
  offer: Offer;
  accepted: number;
  declined: string | undefined;
  stages: number[];
  logs: Record<"step" | "prepare", ReturnType<typeof growingBytes>>;
  readonly step: Buffer;
  readonly prepare: Buffer;
  marks: Mark[];
  chunks: number;
  finish: FinishStepRequest | undefined;
  finishes: number;
  /** No effect of it is accepted any more. */
  lost: boolean;
  stop: { reason: string; graceMs: number } | undefined;
  uploads: Map<string, FakeUpload>;
}

/** Bytes that grow at their end without being copied each time. */
function growingBytes() {
  let room = Buffer.alloc(64 * 1024);
  let length = 0;
  return {
    get: () => room.subarray(0, length),
    cut: (to: number) => {
      length = to;
    },
    add(bytes: Uint8Array) {
      if (length + bytes.length > room.length) {
        const wider = Buffer.alloc(2 * (length + bytes.length));
        room.copy(wider, 0, 0, length);
        room = wider;
      }
      room.set(bytes, length);
      length += bytes.length;
    },
  };
}

/** An attempt of which nothing is known but its offer. */
export function fakeAttempt(offer: Offer): FakeAttempt {
  const logs = { step: growingBytes(), prepare: growingBytes() };
  return {
    logs,
    get step() {
      return logs.step.get();
    },
    get prepare() {
      return logs.prepare.get();
    },
    offer,
    accepted: 0,
    declined: undefined,
    stages: [],
    marks: [],
    chunks: 0,
    finish: undefined,
    finishes: 0,
    lost: false,
    stop: undefined,
    uploads: new Map(),
  };
}

/** Makes a chunk durable and answers the end, as the contract says it: a repeat is acknowledged, a gap is refused. */
export function append(attempt: FakeAttempt, request: AppendLogRequest): number {
  const raw = request.codec === Codec.ZSTD ? zstdDecompressSync(request.data) : Buffer.from(request.data);
  if (raw.length !== request.rawLength || crc32c(raw) !== request.crc32c) throw refusal(15, "LOG_CORRUPT");
  let lines = 0;
  for (let at = raw.indexOf(10); at >= 0; at = raw.indexOf(10, at + 1)) lines++;
  if (lines !== request.lines) throw refusal(15, "LOG_CORRUPT");
  const which = request.kind === LogKind.PREPARE ? "prepare" : "step";
  const offset = Number(request.offset);
  const end = attempt[which].length;
  if (offset > end) throw refusal(11, "LOG_GAP", { expected_offset: String(end) });
  const known = attempt[which].subarray(offset, offset + raw.length);
  if (!raw.subarray(0, known.length).equals(known)) throw refusal(15, "LOG_CONFLICT");
  for (const mark of request.marks) {
    if (mark.offset < request.offset || mark.offset > request.offset + BigInt(raw.length)) throw refusal(3, "MARKS");
  }
  if (offset + raw.length > end) attempt.logs[which].add(raw.subarray(end - offset));
  if (which === "step") {
    attempt.marks.push(...request.marks);
    attempt.chunks++;
  }
  return attempt[which].length;
}
