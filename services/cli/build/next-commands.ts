import { type Build, BuildState, type Step, StepState } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import { isBuildGood, isBuildOver, isStepBad } from "../states.ts";

/** What to type next, most useful first; with ids where the build was named by its own: its job may be deleted. */
export function nextCommands(build: Build, steps: Step[], { byId }: { byId: boolean }): string[] {
  const { state } = build;
  const name = byId ? build.id : build.name;
  const failed = steps.filter((step) => isStepBad(step.state) && step.attempt > 0);
  if (!isBuildOver(state)) {
    const waits = steps.find((step) => step.state === StepState.QUEUED);
    return [`ritmo build watch ${name}`, ...(waits ? [`ritmo step explain ${byId ? waits.id : waits.name}`] : [])];
  }
  if (isBuildGood(state)) return [];
  const logs = failed.slice(0, 3).map((step) => `ritmo build logs ${name} --step ${step.key}`);
  if (steps.length === 0) return [`ritmo build run ${build.job}`];
  return [...logs, ...(state === BuildState.CANCELLATION && logs.length > 0 ? [] : [`ritmo build retry ${name}`])];
}
