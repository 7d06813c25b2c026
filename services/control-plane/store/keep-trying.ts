import { tries } from "../../process/wait.ts";

/** How often a request to the store is made before its fault is told. */
export const STORE_TRIES = 4;
const BACKOFF = { baseMs: 100, capMs: 2_000 };

// The S3 API's names for "not now"; what the machine says of a connection that broke or was never made.
const PASSING = new Set([
  ...["SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "OperationAborted", "TooManyRequests"],
  ...["ECONNRESET", "ECONNREFUSED", "EPIPE", "ETIMEDOUT", "EAI_AGAIN", "UND_ERR_SOCKET", "TRUNCATED"],
]);
// What the minio client says of 408, 429 and 5xx, without a code.
const RETRYABLE_STATUS = /Retryable HTTP status: \d+/;

/** Whether a request that failed so may go well the next time. */
export function isPassing(reason: unknown): boolean {
  const { code, message } = reason as { code?: unknown; message?: unknown };
  if (typeof code === "string" && PASSING.has(code)) return true;
  return typeof message === "string" && (RETRYABLE_STATUS.test(message) || message === "socket hang up");
}

/**
 * Runs a request that may be repeated, at most STORE_TRIES times and only while its fault is a passing one. `tried`
 * tells it how often it was made before: what fails then may be the effect of the first time.
 */
export async function keepTrying<T>(run: (tried: number) => Promise<T>): Promise<T> {
  for await (const tried of tries(BACKOFF)) {
    try {
      return await run(tried);
    } catch (reason) {
      if (tried + 1 >= STORE_TRIES || !isPassing(reason)) throw reason;
    }
  }
  throw new Error("unreachable: tries() without a signal does not end");
}
