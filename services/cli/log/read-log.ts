import type { Client } from "@connectrpc/connect";
import type { LogKind, LogService } from "@ritmo/contract/ritmo/log/v1/log_pb.js";
import type { LineSpan } from "../target.ts";
import type { LogPiece } from "./line-clock.ts";

type Logs = Client<typeof LogService>;
interface Named {
  name: string;
  kind: LogKind;
}

/** Answers what a log holds by now, from its first byte to its last. Errors as LogService has them. */
export async function* readLog(logs: Logs, { name, kind }: Named): AsyncGenerator<LogPiece> {
  const { log } = await logs.getLog({ name, kind });
  const end = log?.bytes ?? 0n;
  for (let offset = 0n; offset < end; ) {
    const read = await logs.readLog({ name, kind, range: { case: "bytes", value: { offset, length: end - offset } } });
    if (read.data.length === 0) return;
    yield read;
    offset = read.offset + BigInt(read.data.length);
  }
}

const LINE_END = 10;

/** Answers the lines of a span, their ends included, as far as the log has them. Errors as LogService has them. */
export async function* readLines(
  logs: Logs,
  { name, kind }: Named,
  { first, last }: LineSpan,
): AsyncGenerator<LogPiece> {
  let left = last === undefined ? Number.POSITIVE_INFINITY : last - first + 1;
  const count = BigInt(Math.min(left, 1_000_000_000));
  let read = await logs.readLog({ name, kind, range: { case: "lines", value: { first: BigInt(first), count } } });
  while (read.data.length > 0) {
    const { bytes, lines } = takeLines(read.data, left);
    yield { data: bytes, offset: read.offset, times: read.times };
    left -= lines;
    if (left <= 0 || read.end) return;
    // A long line may be cut by the limit of one answer: what follows is asked for by bytes.
    const offset = read.offset + BigInt(read.data.length);
    const { log } = await logs.getLog({ name, kind });
    if (offset >= (log?.bytes ?? 0n)) return;
    read = await logs.readLog({ name, kind, range: { case: "bytes", value: { offset, length: 0n } } });
  }
}

function takeLines(data: Uint8Array, most: number): { bytes: Uint8Array; lines: number } {
  let lines = 0;
  for (let at = data.indexOf(LINE_END); at !== -1; at = data.indexOf(LINE_END, at + 1)) {
    lines++;
    if (lines >= most) return { bytes: data.subarray(0, at + 1), lines };
  }
  return { bytes: data, lines };
}
