/** Whether another process has this worker's place, or only a Hello of its own that was executed late. */
export interface Displacement {
  /** A Hello was left without an answer. It may be executed yet, and displaces what is there by then. */
  helloLost(beganSession: boolean): void;
  /**
   * Called when the stream or the session was lost to another: true when that is another process, which has the place
   * from then on; false when it may have been ourselves, and coming back tells.
   */
  isRival(lost: "stream" | "session"): boolean;
}

// Two processes that speak for one session displace each other at once, so that one of them soon hears it twice.
const PARDON_EVERY_MS = 60_000;
// A replica may have stood still for long before it goes on with what it was told.
const LATE_WITHIN_MS = 10 * 60_000;
const MAX_LATE = 3;

/**
 * Being displaced from a session is pardoned once in a minute, and once for each Hello that was lost: a rival does it
 * again. Being replaced by a session that somebody began costs that one its leases if it is taken back, so it is
 * pardoned only where a Hello that began a session was lost.
 */
export function displacement(nowMs: () => number = () => performance.now()): Displacement {
  let resumes: number[] = [];
  let begins: number[] = [];
  let pardonedAtMs = Number.NEGATIVE_INFINITY;
  const recent = (times: number[]) => times.filter((atMs) => nowMs() - atMs < LATE_WITHIN_MS);
  return {
    helloLost(beganSession) {
      if (beganSession) begins = [nowMs()];
      else resumes = [...recent(resumes), nowMs()].slice(-MAX_LATE);
    },
    isRival(lost) {
      if (lost === "session") {
        const late = recent(begins).length > 0;
        begins = [];
        return !late;
      }
      resumes = recent(resumes);
      if (resumes.shift() !== undefined) return false;
      const again = nowMs() - pardonedAtMs < PARDON_EVERY_MS;
      if (!again) pardonedAtMs = nowMs();
      return again;
    },
  };
}
