/** Wakes whoever waits; a ring that nobody hears is gone, so look at the state first and wait then. */
export interface Bell {
  ring(): void;
  /** Resolves at the next ring, or when the signal aborts. Leaves no listener behind. */
  next(signal?: AbortSignal): Promise<void>;
}

/** A new bell. */
export function bell(): Bell {
  const waiting = new Set<() => void>();
  return {
    ring() {
      for (const wake of [...waiting]) wake();
    },
    next(signal) {
      if (signal?.aborted) return Promise.resolve();
      return new Promise((resolve) => {
        const wake = () => {
          waiting.delete(wake);
          signal?.removeEventListener("abort", wake);
          resolve();
        };
        waiting.add(wake);
        signal?.addEventListener("abort", wake, { once: true });
      });
    },
  };
}
