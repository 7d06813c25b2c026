const KIB = 1024;
const MIB = 1024 * KIB;

/** What a worker is told in Welcome about logs, and what is refused above it. All of raw bytes. */
export const LOG_LIMITS = {
  maxChunkBytes: 512 * KIB,
  /** Unacknowledged bytes of one log. */
  maxInflightBytes: 4 * MIB,
  /** Of one attempt's log; what comes after is counted, not kept. */
  maxLogBytes: 1024 * MIB,
};

/** The worker's own line that says the cap was reached lies past the cap. */
export const MARKER_ALLOWANCE_BYTES = 64 * KIB;

export const MAX_MARKS_PER_CHUNK = 10_000;
