/** The gRPC code of a refusal, by its name in lower case (https://grpc.io/docs/guides/status-codes/). */
export type RefusalCode =
  | "invalid_argument"
  | "not_found"
  | "already_exists"
  | "permission_denied"
  | "unauthenticated"
  | "failed_precondition"
  | "aborted"
  | "out_of_range"
  | "resource_exhausted"
  | "data_loss"
  | "unavailable"
  | "unimplemented";

export interface FieldViolation {
  /** Path of the field in the request: `job.repository`. */
  field: string;
  description: string;
}

export interface RefusalDetails {
  /** Facts for programs, such as `expected_offset`. */
  metadata?: Record<string, string>;
  violations?: FieldViolation[];
  retryAfterMs?: number;
}

/**
 * A refusal of what a caller asked: an answer, not a fault of ours. Thrown by verbs, turned into a status with
 * ErrorInfo, BadRequest and RetryInfo at the edge and nowhere else.
 */
export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly code: RefusalCode;
  /** UPPER_SNAKE, for programs; part of the contract. */
  readonly reason: string;
  readonly details: RefusalDetails;

  constructor(code: RefusalCode, reason: string, message: string, details: RefusalDetails = {}) {
    super(message);
    this.code = code;
    this.reason = reason;
    this.details = details;
  }
}

/** One field of a request is malformed. */
export function badField(field: string, description: string, reason = "FIELD_INVALID"): Refusal {
  return new Refusal("invalid_argument", reason, `${field}: ${description}`, { violations: [{ field, description }] });
}

/** What the request names does not exist, or is another organization's. */
export function notFound(kind: string, name: string): Refusal {
  return new Refusal("not_found", `${kind.toUpperCase()}_NOT_FOUND`, `no ${kind} is named ${JSON.stringify(name)}`);
}

/** The fence: the attempt has moved on, and nothing of the caller's about it is accepted any more. */
export function leaseLost(leaseId: string): Refusal {
  return new Refusal("failed_precondition", "LEASE_LOST", `the lease ${leaseId} is over; drop the attempt`, {
    metadata: { lease_id: leaseId },
  });
}
