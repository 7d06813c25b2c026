import { findTrailerError } from "@connectrpc/connect/protocol-grpc";
import { type ServiceError, status } from "@grpc/grpc-js";
import { ErrorInfoSchema, RetryInfoSchema } from "@ritmo/contract/google/rpc/error_details_pb.js";

/** What the control plane answered instead of what was asked. */
export interface RefusedCall {
  code: status;
  /** ErrorInfo's reason, such as LEASE_LOST; empty without one. */
  reason: string;
  message: string;
  metadata: Record<string, string>;
  retryAfterMs: number | undefined;
}

/** Reads a failed call of grpc-js, with the details it carries in its trailers. */
export function readRefusal(failure: unknown): RefusedCall {
  const { code, details, metadata, message } = failure as Partial<ServiceError>;
  const refused: RefusedCall = {
    code: code ?? status.UNKNOWN,
    reason: "",
    message: details || message || String(failure),
    metadata: {},
    retryAfterMs: undefined,
  };
  const packed = metadata?.get("grpc-status-details-bin")[0];
  if (!(packed instanceof Uint8Array)) return refused;
  const trailer = new Headers({
    "grpc-status": String(refused.code),
    "grpc-status-details-bin": Buffer.from(packed).toString("base64"),
  });
  const told = findTrailerError(trailer);
  const info = told?.findDetails(ErrorInfoSchema)[0];
  const delay = told?.findDetails(RetryInfoSchema)[0]?.retryDelay;
  return {
    ...refused,
    reason: info?.reason ?? "",
    metadata: { ...info?.metadata },
    retryAfterMs: delay ? Number(delay.seconds) * 1000 + delay.nanos / 1e6 : undefined,
  };
}

const FINAL = new Set([
  status.INVALID_ARGUMENT,
  status.NOT_FOUND,
  status.ALREADY_EXISTS,
  status.PERMISSION_DENIED,
  status.UNAUTHENTICATED,
  status.FAILED_PRECONDITION,
  status.OUT_OF_RANGE,
  status.DATA_LOSS,
  status.UNIMPLEMENTED,
]);

// Too much of something, which waiting does not make less.
const FINAL_REASONS = new Set(["ARTIFACT_TOO_LARGE", "TOO_MANY_ARTIFACTS", "CHUNK_TOO_LARGE", "LOG_TOO_LARGE"]);

/** True when asking again can't help: the answer was about what was asked, not about the way there. */
export function isFinal({ code, reason }: RefusedCall): boolean {
  return FINAL.has(code) || FINAL_REASONS.has(reason);
}
