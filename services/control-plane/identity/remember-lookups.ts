interface Remembered<C> {
  found: Promise<C | undefined>;
  untilMs: number;
}

export interface RememberOptions {
  forMs: number;
  /** The oldest answers are forgotten beyond this, so that guesses can't fill the memory. */
  atMost?: number;
  nowMs?: () => number;
}

/**
 * Remembers what a lookup answered for a few seconds, and asks once for many callers at once. A lookup that failed is
 * not remembered. What was revoked counts for so long at most, on every replica.
 */
export function rememberLookups<C>(
  look: (key: string) => Promise<C | undefined>,
  { forMs, atMost = 10_000, nowMs = () => performance.now() }: RememberOptions,
): (key: string) => Promise<C | undefined> {
  const known = new Map<string, Remembered<C>>();
  return (key) => {
    const now = nowMs();
    const before = known.get(key);
    if (before && before.untilMs > now) return before.found;
    known.delete(key);
    const entry = { found: look(key), untilMs: now + forMs };
    known.set(key, entry);
    entry.found.catch(() => {
      if (known.get(key) === entry) known.delete(key);
    });
    for (const oldest of known.keys()) {
      if (known.size <= atMost) break;
      known.delete(oldest);
    }
    return entry.found;
  };
}
