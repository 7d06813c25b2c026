import type { IncomingHttpHeaders } from "node:http";

const GRPC_UNIT_MS: Record<string, number> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 1e-3, n: 1e-6 };
// Node's timers end here; anything longer would fire at once.
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/**
 * Makes the deadline of a request at most `maxMs` (none: only as long as a timer can run), whether or not the caller
 * named one. What is no deadline at all is left for the protocol's own answer.
 */
export function capDeadline(headers: IncomingHttpHeaders, maxMs: number | undefined): void {
  const grpc = String(headers["content-type"] ?? "").startsWith("application/grpc");
  const name = grpc ? "grpc-timeout" : "connect-timeout-ms";
  const given = headers[name];
  if (given === undefined) {
    if (maxMs !== undefined) headers[name] = grpc ? `${maxMs}m` : `${maxMs}`;
    return;
  }
  const askedMs = grpc ? readGrpcTimeout(String(given)) : readConnectTimeout(String(given));
  if (askedMs === undefined || askedMs <= (maxMs ?? LONGEST_TIMER_MS)) return;
  if (maxMs === undefined) delete headers[name];
  else headers[name] = grpc ? `${maxMs}m` : `${maxMs}`;
}

function readGrpcTimeout(text: string): number | undefined {
  const match = /^(\d{1,8})([HMSmun])$/.exec(text);
  return match ? Number(match[1]) * (GRPC_UNIT_MS[match[2] ?? ""] ?? 1) : undefined;
}

function readConnectTimeout(text: string): number | undefined {
  return /^\d{1,10}$/.test(text) ? Number(text) : undefined;
}
