import { BuildState, StepState } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import { WorkerState } from "@ritmo/contract/ritmo/fleet/v1/fleet_pb.js";
import type { Style } from "./paint.ts";

export interface Look {
  word: string;
  mark: string;
  style: Style;
}

const GOOD = { mark: "✓", style: "green" } as const;
const BAD = { mark: "✗", style: "red" } as const;
const LIVE = { mark: "●", style: "cyan" } as const;
const QUIET = { mark: "–", style: "dim" } as const;
const WAITS = { mark: "○", style: "yellow" } as const;

export const BUILD_LOOK: Record<BuildState, Look> = {
  [BuildState.UNSPECIFIED]: { word: "unknown", ...QUIET },
  [BuildState.PENDING]: { word: "pending", ...WAITS },
  [BuildState.RUNNING]: { word: "running", ...LIVE },
  [BuildState.SUCCESS]: { word: "success", ...GOOD },
  [BuildState.FAILURE]: { word: "failure", ...BAD },
  [BuildState.ERROR]: { word: "error", ...BAD },
  [BuildState.TIMEOUT]: { word: "timeout", ...BAD },
  [BuildState.CANCELLATION]: { word: "cancelled", ...QUIET },
  [BuildState.SKIP]: { word: "skipped", ...QUIET },
};

export const STEP_LOOK: Record<StepState, Look> = {
  [StepState.UNSPECIFIED]: { word: "unknown", ...QUIET },
  [StepState.WAITING]: { word: "waiting", ...WAITS },
  [StepState.QUEUED]: { word: "queued", ...WAITS },
  [StepState.LEASED]: { word: "leased", ...LIVE },
  [StepState.RUNNING]: { word: "running", ...LIVE },
  [StepState.FINISHING]: { word: "finishing", ...LIVE },
  [StepState.SUCCESS]: { word: "success", ...GOOD },
  [StepState.FAILURE]: { word: "failure", ...BAD },
  [StepState.ERROR]: { word: "error", ...BAD },
  [StepState.TIMEOUT]: { word: "timeout", ...BAD },
  [StepState.CANCELLATION]: { word: "cancelled", ...QUIET },
  [StepState.SKIP]: { word: "skipped", ...QUIET },
};

export const WORKER_LOOK: Record<WorkerState, Look> = {
  [WorkerState.UNSPECIFIED]: { word: "unknown", ...QUIET },
  [WorkerState.NEW]: { word: "new", ...WAITS },
  [WorkerState.ONLINE]: { word: "online", ...GOOD },
  [WorkerState.DRAINING]: { word: "draining", ...WAITS },
  [WorkerState.OFFLINE]: { word: "offline", ...BAD },
};

export const isBuildOver = (state: BuildState): boolean => state >= BuildState.SUCCESS;
export const isBuildGood = (state: BuildState): boolean => state === BuildState.SUCCESS || state === BuildState.SKIP;
export const isStepOver = (state: StepState): boolean => state >= StepState.SUCCESS;
export const isStepBad = (state: StepState): boolean =>
  state === StepState.FAILURE || state === StepState.ERROR || state === StepState.TIMEOUT;

/** The value of an enum by its name in any case, as in a filter on the command line; undefined where none is so named. */
export function stateNamed(
  look: Record<number, Look>,
  names: Record<string, string | number>,
  text: string,
): number | undefined {
  const value = names[text.toUpperCase()];
  if (typeof value === "number" && value !== 0) return value;
  const found = Object.entries(look).find(([key, { word }]) => key !== "0" && word === text.toLowerCase());
  return found && Number(found[0]);
}
