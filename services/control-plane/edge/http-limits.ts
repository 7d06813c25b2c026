/** Bounds of a connection on the public port. Tests pass shorter times; nothing else does. */
export interface HttpLimits {
  /** From the connection to the bytes that tell its protocol. */
  firstBytesMs: number;
  /** From a request's first byte to the end of its headers. */
  headersMs: number;
  /** From there to the end of its body. */
  requestMs: number;
  /** How long an HTTP/2 connection without a stream is kept: before its first one, and after its last. */
  firstStreamMs: number;
  idleMs: number;
  /** How often a quiet HTTP/2 connection is asked whether it is still there. */
  pingMs: number;
  /** How long a reader may take nothing of an answer that waits for it. */
  stalledMs: number;
  connections: number;
  streamsPerConnection: number;
  headerBytes: number;
  headerPairs: number;
}

export const HTTP_LIMITS: HttpLimits = {
  firstBytesMs: 10_000,
  headersMs: 10_000,
  requestMs: 30_000,
  firstStreamMs: 30_000,
  idleMs: 5 * 60_000,
  pingMs: 20_000,
  stalledMs: 60_000,
  connections: 10_000,
  streamsPerConnection: 128,
  headerBytes: 16 * 1024,
  headerPairs: 128,
};
