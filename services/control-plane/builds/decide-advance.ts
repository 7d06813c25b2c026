/** A step that waits, with how its needs stand. */
export interface WaitingStep {
  id: string;
  key: string;
  needs: { key: string; state: string }[];
}

export type Advance = { to: "queued" } | { to: "skip"; because: string[] } | { to: "cancellation" } | { to: "waiting" };

const OVER = new Set(["success", "failure", "error", "timeout", "cancellation", "skip"]);

export function isOver(state: string): boolean {
  return OVER.has(state);
}

/** What becomes of a waiting step: it is queued when all its needs succeeded, and skipped as soon as one did not. */
export function decideAdvance(step: WaitingStep, cancelRequested: boolean): Advance {
  if (cancelRequested) return { to: "cancellation" };
  const bad = step.needs.filter((need) => isOver(need.state) && need.state !== "success");
  if (bad.length > 0) return { to: "skip", because: bad.map((need) => need.key) };
  return step.needs.every((need) => need.state === "success") ? { to: "queued" } : { to: "waiting" };
}

/** One step of a build that has no live step left. */
export interface EndedStep {
  key: string;
  state: string;
  reason: string;
  cause: string;
}

export interface BuildOutcome {
  state: "success" | "failure" | "error" | "timeout" | "cancellation" | "skip";
  reason: string;
  cause: string;
}

// The author's own fault is told first: it is there whatever else went wrong.
const WORST_FIRST = ["failure", "timeout", "error"] as const;

/** How a build ends whose steps are all over, the first that went wrong first in `steps`. */
export function decideOutcome(steps: EndedStep[], cancelled: { reason: string } | undefined): BuildOutcome {
  const notRun = steps.some((step) => step.state === "cancellation" || step.state === "skip");
  if (cancelled && (notRun || steps.some((step) => step.state !== "success"))) {
    return { state: "cancellation", reason: "CANCELLED", cause: cancelled.reason };
  }
  for (const state of WORST_FIRST) {
    const step = steps.find((s) => s.state === state);
    if (step) return { state, reason: step.reason || "STEP_FAILED", cause: `${step.key}: ${step.cause}` };
  }
  const other = steps.find((step) => step.state === "cancellation");
  if (other) return { state: "cancellation", reason: "CANCELLED", cause: `${other.key}: ${other.cause}` };
  if (steps.length > 0 && steps.every((step) => step.state === "skip")) {
    return { state: "skip", reason: "ALL_SKIPPED", cause: "Every step was skipped." };
  }
  return { state: "success", reason: "", cause: "" };
}
