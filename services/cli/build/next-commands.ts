import { type Build, BuildState, type Step, StepState } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import { isBuildGood, isBuildOver, isStepBad } from "../states.ts";

/** What to type next, most useful first. */
export function nextCommands(build: Build, steps: Step[]): string[] {
  const { name, state } = build;
  const failed = steps.filter((step) => isStepBad(step.state) && step.attempt > 0);
  if (!isBuildOver(state)) {
    const waits = steps.find((step) => step.state === StepState.QUEUED);
    return [`ritmo build watch ${name}`, ...(waits ? [`ritmo step explain ${waits.name}`] : [])];
  }
  if (isBuildGood(state)) return [];
  const logs = failed.slice(0, 3).map((step) => `ritmo build logs ${name} --step ${step.key}`);
  if (steps.length === 0) return [`ritmo build run ${build.job}`];
  return [...logs, ...(state === BuildState.CANCELLATION && logs.length > 0 ? [] : [`ritmo build retry ${name}`])];
}
