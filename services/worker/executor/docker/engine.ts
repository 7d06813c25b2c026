import type Docker from "dockerode";
import type { Container, Info } from "dockerode";

/** A container engine that answered, and how to speak to it. */
export interface Engine {
  docker: Docker;
  info: Info;
  /** Such as `docker 28.2`. */
  name: string;
  /** Its root is this worker's own user. */
  rootless: boolean;
  /** The architecture in the words of images. */
  arch: string;
}

export type { Container };

/** The engine did not do what was asked: it is gone, it does not answer, or it says no. */
export class EngineTrouble extends Error {
  override readonly name = "EngineTrouble";
  readonly kind: "gone" | "hung" | "refused";
  /** The status of its answer; 0 without one. */
  readonly status: number;

  constructor(kind: EngineTrouble["kind"], message: string, status = 0) {
    super(message);
    this.kind = kind;
    this.status = status;
  }
}

export const CALL_WITHIN_MS = 15_000;

/**
 * One call to the engine, bounded: an engine that is stopped takes a connection and never answers. Throws
 * EngineTrouble, or the reason of `signal` when that aborts.
 */
export async function callEngine<T>(
  what: string,
  run: (abortSignal: AbortSignal) => Promise<T>,
  { withinMs = CALL_WITHIN_MS, signal }: { withinMs?: number; signal?: AbortSignal } = {},
): Promise<T> {
  signal?.throwIfAborted();
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(), withinMs);
  const both = signal ? AbortSignal.any([limit.signal, signal]) : limit.signal;
  const over = Promise.withResolvers<never>();
  // Whether or not dockerode hears of it, this call is over.
  const end = () => over.reject(new Error("aborted"));
  both.addEventListener("abort", end, { once: true });
  over.promise.catch(() => {});
  try {
    return await Promise.race([run(both), over.promise]);
  } catch (reason) {
    signal?.throwIfAborted();
    if (limit.signal.aborted) {
      throw new EngineTrouble("hung", `the container engine did not answer within ${withinMs / 1000} s (${what})`);
    }
    throw asTrouble(what, reason);
  } finally {
    clearTimeout(timer);
    both.removeEventListener("abort", end);
  }
}

function asTrouble(what: string, reason: unknown): EngineTrouble {
  const { statusCode, json, message, code } = reason as Error & {
    statusCode?: number;
    json?: { message?: string };
    code?: string;
  };
  if (statusCode) return new EngineTrouble("refused", (json?.message ?? message).trim(), statusCode);
  return new EngineTrouble("gone", `the container engine can't be reached (${what}: ${code ?? message})`);
}

/** Whether the engine says that it has no such thing. */
export function isMissing(reason: unknown): boolean {
  return reason instanceof EngineTrouble && reason.status === 404;
}
