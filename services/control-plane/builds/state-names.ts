import { BuildState, StepState } from "@ritmo/contract/ritmo/build/v1/build_pb.js";

/** States as the database writes them, and their numbers on the wire. */
export const BUILD_STATES = {
  pending: BuildState.PENDING,
  running: BuildState.RUNNING,
  success: BuildState.SUCCESS,
  failure: BuildState.FAILURE,
  error: BuildState.ERROR,
  timeout: BuildState.TIMEOUT,
  cancellation: BuildState.CANCELLATION,
  skip: BuildState.SKIP,
} as const satisfies Record<string, BuildState>;

export const STEP_STATES = {
  waiting: StepState.WAITING,
  queued: StepState.QUEUED,
  leased: StepState.LEASED,
  running: StepState.RUNNING,
  finishing: StepState.FINISHING,
  success: StepState.SUCCESS,
  failure: StepState.FAILURE,
  error: StepState.ERROR,
  timeout: StepState.TIMEOUT,
  cancellation: StepState.CANCELLATION,
  skip: StepState.SKIP,
} as const satisfies Record<string, StepState>;

export type BuildStateName = keyof typeof BUILD_STATES;
export type StepStateName = keyof typeof STEP_STATES;

/** The database's word for a state on the wire; undefined for UNSPECIFIED and for numbers from the future. */
export function nameOfState<N extends string>(states: Record<N, number>, state: number): N | undefined {
  return (Object.keys(states) as N[]).find((name) => states[name] === state);
}
