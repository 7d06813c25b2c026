import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "@ritmo/contract/google/rpc/error_details_pb.js";
import type { Logger } from "../../process/logger.ts";
import { Refusal, type RefusalCode } from "../../process/refusal.ts";
import { databaseErrorCode, isDatabaseAway } from "../store/read-database-error.ts";

const CODE: Record<RefusalCode, Code> = {
  invalid_argument: Code.InvalidArgument,
  not_found: Code.NotFound,
  already_exists: Code.AlreadyExists,
  permission_denied: Code.PermissionDenied,
  unauthenticated: Code.Unauthenticated,
  failed_precondition: Code.FailedPrecondition,
  aborted: Code.Aborted,
  out_of_range: Code.OutOfRange,
  resource_exhausted: Code.ResourceExhausted,
  data_loss: Code.DataLoss,
  unavailable: Code.Unavailable,
  unimplemented: Code.Unimplemented,
};

const RETRY_DATABASE_MS = 1_000;

/**
 * The one place that turns what was thrown into a status. Refusals carry their reason and details; a database that is
 * away is `unavailable`; what is not known is `internal error` with the request's id, and its cause is only logged.
 */
export function translateError(reason: unknown, about: { logger: Logger; requestId: string }): ConnectError {
  if (reason instanceof ConnectError) return reason;
  if (reason instanceof Refusal) return fromRefusal(reason);
  if (isAbort(reason)) return new ConnectError("the call was cancelled", Code.Canceled);
  const refusal = fromDatabase(reason);
  if (refusal) {
    about.logger.warn({ err: reason, requestId: about.requestId }, refusal.message);
    return fromRefusal(refusal);
  }
  about.logger.error({ err: reason, requestId: about.requestId }, "a call failed by our fault");
  return new ConnectError(`internal error, request ${about.requestId}`, Code.Internal);
}

/** A refusal as a status with google.rpc's ErrorInfo, and BadRequest and RetryInfo where it has them. */
export function fromRefusal(refusal: Refusal): ConnectError {
  const { metadata = {}, violations, retryAfterMs } = refusal.details;
  const error = new ConnectError(refusal.message, CODE[refusal.code]);
  error.details.push({
    desc: ErrorInfoSchema,
    value: { reason: refusal.reason, domain: "ritmo", metadata } satisfies MessageInitShape<typeof ErrorInfoSchema>,
  });
  if (violations) error.details.push({ desc: BadRequestSchema, value: { fieldViolations: violations } });
  if (retryAfterMs !== undefined) {
    error.details.push({ desc: RetryInfoSchema, value: { retryDelay: durationFromMs(retryAfterMs) } });
  }
  return error;
}

function isAbort(reason: unknown): boolean {
  return reason instanceof Error && (reason.name === "AbortError" || reason.name === "TimeoutError");
}

// https://www.postgresql.org/docs/current/errcodes-appendix.html.
const NOT_TEXT = new Set(["22021", "22P05"]);
// A number out of range, a text that is no UUID, a time that is none: a verb should have refused it by its field.
const NOT_A_VALUE = new Set(["22003", "22007", "22008", "22P02"]);
// A lock or a statement took too long, a deadlock: nothing was recorded.
const BUSY = new Set(["55P03", "57014", "40001", "40P01", "25P03"]);

function fromDatabase(reason: unknown): Refusal | undefined {
  const code = databaseErrorCode(reason);
  if (code === undefined) return undefined;
  if (NOT_TEXT.has(code)) {
    return new Refusal("invalid_argument", "TEXT_INVALID", "a text holds a NUL byte or is no valid UTF-8");
  }
  if (NOT_A_VALUE.has(code)) {
    return new Refusal("invalid_argument", "VALUE_INVALID", "a field holds a value that can't be");
  }
  if (BUSY.has(code) || isDatabaseAway(reason)) {
    return new Refusal("unavailable", "DATABASE_UNAVAILABLE", "the database did not answer; nothing was recorded", {
      retryAfterMs: RETRY_DATABASE_MS,
    });
  }
  return undefined;
}
