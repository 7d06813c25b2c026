import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema } from "@ritmo/contract/google/rpc/error_details_pb.js";
import { sleep } from "../process/wait.ts";
import type { Io } from "./io.ts";

/** Tells a person once that streams broke, and once that they are back, however many there are. */
export interface Link {
  lost(reason: unknown): void;
  back(): void;
}

export interface KeepReading {
  signal: AbortSignal;
  link: Link;
  /** A server sends beats; a stream that is silent for longer is dead. */
  silenceMs?: number;
  /** True: also the first connection is waited for. */
  patient?: boolean;
}

const SILENCE_MS = 60_000;

/**
 * Reads a server's stream for as long as it is read from, opening it again with jitter whenever it breaks or ends;
 * the opener begins each time where the reader is by then. Ends when the signal aborts; throws what opening it again
 * can't mend.
 */
export async function* keepReading<T>(
  open: (signal: AbortSignal) => AsyncIterable<T>,
  { signal, link, silenceMs = SILENCE_MS, patient = true }: KeepReading,
): AsyncGenerator<T> {
  let waits = patient;
  let broken = false;
  for (let failures = 0; !signal.aborted; failures++) {
    try {
      for await (const message of untilSilent(open, signal, silenceMs)) {
        if (broken) link.back();
        broken = false;
        waits = true;
        failures = 0;
        yield message;
      }
    } catch (reason) {
      if (signal.aborted) return;
      if (!waits || !canMend(reason)) throw reason;
      if (!broken) link.lost(reason);
      broken = true;
    }
    await pause(failures, signal);
  }
}

/** Carries out a reading call until it is answered, with jitter. Throws what another try can't mend. */
export async function readPatiently<T>(call: () => Promise<T>, { signal, link }: KeepReading): Promise<T> {
  let broken = false;
  for (let failures = 0; ; failures++) {
    try {
      const answer = await call();
      if (broken) link.back();
      return answer;
    } catch (reason) {
      if (signal.aborted || !canMend(reason)) throw reason;
      if (!broken) link.lost(reason);
      broken = true;
    }
    await pause(failures, signal);
  }
}

/** A random part of a growing window, so that all who watch do not come back at once. */
function pause(failures: number, signal: AbortSignal): Promise<void> {
  return sleep(Math.random() * Math.min(10_000, 300 * 2 ** failures), signal);
}

async function* untilSilent<T>(
  open: (signal: AbortSignal) => AsyncIterable<T>,
  signal: AbortSignal,
  silenceMs: number,
): AsyncGenerator<T> {
  const silent = new AbortController();
  const timer = setTimeout(() => silent.abort(), silenceMs);
  try {
    for await (const message of open(AbortSignal.any([signal, silent.signal]))) {
      timer.refresh();
      yield message;
      timer.refresh();
    }
  } catch (reason) {
    if (silent.signal.aborted && !signal.aborted) throw new ConnectError("the stream fell silent", Code.Unavailable);
    throw reason;
  } finally {
    clearTimeout(timer);
    silent.abort();
  }
}

const LASTING = new Set([
  Code.InvalidArgument,
  Code.NotFound,
  Code.AlreadyExists,
  Code.PermissionDenied,
  Code.Unauthenticated,
  Code.FailedPrecondition,
  Code.OutOfRange,
  Code.DataLoss,
  Code.Unimplemented,
]);

/** Whether opening it again may help: anything but a lasting refusal by the server itself. */
function canMend(reason: unknown): boolean {
  if (!(reason instanceof ConnectError)) return false;
  // The transport's words for a connection that ended within a stream; it uses a code of callers' faults for them.
  if (/missing EndStreamResponse|premature/.test(reason.rawMessage)) return true;
  const refusedByRitmo = reason.findDetails(ErrorInfoSchema).length > 0;
  return !LASTING.has(reason.code) && (refusedByRitmo || reason.code !== Code.Internal || reason.cause !== undefined);
}

/** A link that speaks on stderr. */
export function linkOf(io: Io): Link {
  let lost = 0;
  return {
    lost(reason) {
      lost++;
      const why = ConnectError.from(reason).rawMessage.replace(/\s+/g, " ").slice(0, 120);
      if (lost === 1) void io.stderr.write(`The connection is lost (${why}); trying again until it is back.\n`);
    },
    back() {
      lost--;
      if (lost === 0) void io.stderr.write("Connected again.\n");
    },
  };
}
