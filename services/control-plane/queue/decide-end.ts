/** How a worker says that an attempt ended. */
export type AttemptEnd =
  | { kind: "exited"; code: number }
  | { kind: "signalled"; signal: string }
  | { kind: "outOfMemory" }
  | { kind: "timedOut"; limitSeconds: number }
  | { kind: "stopped"; reason: string }
  | { kind: "broken"; reason: string; message: string; authorFault: boolean };

export interface EndedAttempt {
  cancelRequested: boolean;
  cancelReason: string;
  /** Ends by our fault before this one. */
  errors: number;
  failedEntry: number;
  entries: number;
}

export interface EndDecision {
  /** What the attempt is. */
  attempt: "success" | "failure" | "error" | "timeout" | "cancellation";
  /** What its step is: the same, or queued again. */
  step: "success" | "failure" | "error" | "timeout" | "cancellation" | "queued";
  reason: string;
  cause: string;
  /** True: it was our fault, and counts against a limit of its own. */
  error: boolean;
}

/** Ends by our fault after which a step is given up. */
export const MAX_ERRORS = 3;

/** What an attempt's end means for it and for its step. A red step is an outcome; what is ours is tried again. */
export function decideEnd(end: AttemptEnd, of: EndedAttempt): EndDecision {
  const same = (attempt: EndDecision["attempt"], reason: string, cause: string): EndDecision => ({
    attempt,
    step: attempt,
    reason,
    cause,
    error: false,
  });
  if (of.cancelRequested && end.kind !== "exited") return same("cancellation", "CANCELLED", of.cancelReason);
  switch (end.kind) {
    case "exited":
      if (end.code === 0) return same("success", "", "");
      if (of.cancelRequested) return same("cancellation", "CANCELLED", of.cancelReason);
      return same("failure", "STEP_FAILED", `It exited with ${end.code}${where(of)}.`);
    case "signalled":
      return same("failure", "SIGNALLED", `It was ended by ${end.signal}${where(of)}.`);
    case "outOfMemory":
      return same(
        "failure",
        "OUT_OF_MEMORY",
        "It used more memory than it may. Raise `resources.memory`, or use less.",
      );
    case "timedOut":
      return same(
        "timeout",
        "STEP_TIMEOUT",
        `It ran longer than its timeout of ${spell(end.limitSeconds)} and was ended. Raise \`timeout\`, or see where it hung at the end of its log.`,
      );
    case "stopped":
      return ours("STOPPED", end.reason, of);
    case "broken":
      return end.authorFault ? same("failure", end.reason, end.message) : ours(end.reason, end.message, of);
  }
}

/** An end by our fault, also when nobody told it: a worker that fell silent. */
export function ours(
  reason: string,
  message: string,
  of: Pick<EndedAttempt, "errors" | "cancelRequested" | "cancelReason">,
): EndDecision {
  if (of.cancelRequested) {
    return { attempt: "cancellation", step: "cancellation", reason: "CANCELLED", cause: of.cancelReason, error: false };
  }
  const last = of.errors + 1 >= MAX_ERRORS;
  const cause = last ? `${message} It was tried ${MAX_ERRORS} times.` : message;
  return { attempt: "error", step: last ? "error" : "queued", reason, cause, error: true };
}

function where(of: EndedAttempt): string {
  return of.failedEntry > 0 && of.entries > 1 ? ` in entry ${of.failedEntry} of ${of.entries} of \`run\`` : "";
}

function spell(seconds: number): string {
  if (seconds % 3600 === 0) return `${seconds / 3600}h`;
  if (seconds % 60 === 0) return `${seconds / 60}m`;
  return `${seconds}s`;
}
