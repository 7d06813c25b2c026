import { Refusal } from "../../process/refusal.ts";

export interface GuessLimit {
  /** Refuses while too many guesses of this peer were wrong. */
  check(peer: string): void;
  wrong(peer: string): void;
}

const GUESSES = 10;
const WINDOW_MS = 60_000;
const PEERS = 10_000;

/** Ten wrong guesses a minute and peer, on this replica. What is guessed has 100 bits; this keeps the noise down. */
export function limitGuesses(nowMs: () => number = () => performance.now()): GuessLimit {
  const guesses = new Map<string, { count: number; untilMs: number }>();
  return {
    check(peer) {
      const seen = guesses.get(peer);
      if (!seen || seen.count < GUESSES) return;
      const leftMs = seen.untilMs - nowMs();
      if (leftMs <= 0) {
        guesses.delete(peer);
        return;
      }
      throw new Refusal("resource_exhausted", "TOO_MANY_GUESSES", "too many wrong codes; wait a little", {
        retryAfterMs: Math.ceil(leftMs),
      });
    },
    wrong(peer) {
      const now = nowMs();
      const seen = guesses.get(peer);
      if (seen && seen.untilMs > now) seen.count++;
      else guesses.set(peer, { count: 1, untilMs: now + WINDOW_MS });
      for (const oldest of guesses.keys()) {
        if (guesses.size <= PEERS) break;
        guesses.delete(oldest);
      }
    },
  };
}
