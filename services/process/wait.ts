import { setTimeout as delay } from "node:timers/promises";

/** Resolves after a time, or at once when the signal aborts; never rejects. */
export async function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  try {
    await delay(ms, undefined, signal ? { signal } : {});
  } catch {
    // Aborted: whoever sleeps looks at its signal next.
  }
}

export interface Backoff {
  baseMs: number;
  capMs: number;
}

/**
 * Yields the number of each try, from 0, waiting a random part of a growing window in between ("full jitter", AWS
 * Architecture Blog 2015), so that a fleet does not come back in step. Ends when the signal aborts.
 */
export async function* tries({ baseMs, capMs }: Backoff, signal?: AbortSignal): AsyncGenerator<number> {
  for (let n = 0; !signal?.aborted; n++) {
    yield n;
    await sleep(Math.random() * Math.min(capMs, baseMs * 2 ** n), signal);
  }
}

/** Resolves when the signal aborts. */
export function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
