import type { Pipeline, Step } from "@ritmo/contract/ritmo/pipeline/v1/pipeline_pb.js";

export interface PlannedStep {
  /** Unique within the build; the step's name. */
  key: string;
  position: number;
  /** Keys of the steps that must succeed first. */
  needs: string[];
  /** What a worker must have, as sorted `name=value`; among it the executor that the step needs. */
  requires: string[];
  spec: Step;
}

/** What a pipeline means for one build: a graph of steps. */
export interface Plan {
  steps: PlannedStep[];
}

/** Makes the plan of a pipeline that has been read without an error. */
export function makePlan(pipeline: Pipeline): Plan {
  return {
    steps: pipeline.steps.map((spec, position) => ({
      key: spec.name,
      position,
      needs: [...spec.needs],
      requires: requirementsOf(spec),
      spec,
    })),
  };
}

function requirementsOf(spec: Step): string[] {
  const executor = `ritmo/executor=${spec.image ? "docker" : "process"}`;
  return [...spec.requires.map(({ key, value }) => `${key}=${value}`), executor].sort();
}
