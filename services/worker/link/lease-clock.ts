import { bell } from "../bell.ts";

/** Whether this worker may still speak for its session, by its own monotonic clock. */
export interface LeaseClock {
  /** An answer came to a report (or Hello) that was sent then. */
  renewed(sentAtMs: number, ttlMs: number): void;
  holds(): boolean;
  /** Resolves when the lease holds, at once if it does, or when the signal aborts. */
  whenHeld(signal: AbortSignal): Promise<void>;
}

/**
 * The lease ends a margin before its time to live is over, counted from when the worker *sent* what was answered: the
 * control plane counts from when it received that, which is later. The clock is monotonic, and goes on while the
 * process is stopped.
 */
export function leaseClock(now: () => number = () => performance.now()): LeaseClock {
  let endsAtMs = Number.NEGATIVE_INFINITY;
  const renewals = bell();
  const holds = () => now() < endsAtMs;
  return {
    renewed(sentAtMs, ttlMs) {
      endsAtMs = Math.max(endsAtMs, sentAtMs + ttlMs - Math.min(1_000, ttlMs / 10));
      if (holds()) renewals.ring();
    },
    holds,
    async whenHeld(signal) {
      while (!holds() && !signal.aborted) await renewals.next(signal);
    },
  };
}
