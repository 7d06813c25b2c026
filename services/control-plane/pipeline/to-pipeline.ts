import { create } from "@bufbuild/protobuf";
import { type Pipeline, PipelineSchema, type Step, StepSchema } from "@ritmo/contract/ritmo/pipeline/v1/pipeline_pb.js";
import { cpuMillis, durationSeconds, sizeBytes } from "./grammars.ts";
import { childOf, entriesOf, itemsOf, type Tree, textOf } from "./tree.ts";

const DEFAULT_TIMEOUT = "1h";

/** The canonical pipeline of a tree in which no error was found: short forms written long, every default filled in. */
export function toPipeline(tree: Tree): Pipeline {
  const env = variablesOf(childOf(tree, "env"));
  const defaults = childOf(tree, "defaults");
  const steps = entriesOf(childOf(tree, "steps")).map(({ key, value }) => toStep(key, value, env, defaults));
  return create(PipelineSchema, { version: 1, steps });
}

function toStep(name: string, tree: Tree, pipelineEnv: ReadonlyMap<string, string>, defaults: Tree | undefined): Step {
  const env = new Map([...pipelineEnv, ...variablesOf(childOf(tree, "env"))]);
  const timeout = textOf(childOf(tree, "timeout")) ?? textOf(childOf(defaults, "timeout")) ?? DEFAULT_TIMEOUT;
  return create(StepSchema, {
    name,
    run: textsOf(childOf(tree, "run")),
    needs: textsOf(childOf(tree, "needs")),
    env: [...env].map(([variable, value]) => ({ name: variable, value })),
    requires: [...variablesOf(childOf(tree, "requires"))]
      .map(([key, value]) => ({ key, value }))
      .sort((a, b) => (a.key < b.key ? -1 : 1)),
    resources: resourcesOf(childOf(tree, "resources")),
    artifacts: textsOf(childOf(tree, "artifacts")),
    inputs: itemsOf(childOf(tree, "inputs")).map((input) => ({
      artifacts: textOf(childOf(input, "artifacts")) ?? "",
      to: textOf(childOf(input, "to")) ?? "",
    })),
    timeout: { seconds: BigInt(durationSeconds(timeout)), nanos: 0 },
    image: textOf(childOf(tree, "image")) ?? textOf(childOf(defaults, "image")) ?? "",
    shell: textOf(childOf(tree, "shell")) ?? "",
    checkout: textOf(childOf(tree, "checkout")) !== "false",
    submodules: textOf(childOf(tree, "submodules")) === "true",
  });
}

function resourcesOf(tree: Tree | undefined) {
  const cpu = textOf(childOf(tree, "cpu"));
  const memory = textOf(childOf(tree, "memory"));
  return {
    cpuMillis: cpu === undefined ? 0 : cpuMillis(cpu),
    memoryBytes: memory === undefined ? 0n : BigInt(sizeBytes(memory)),
  };
}

function variablesOf(tree: Tree | undefined): Map<string, string> {
  return new Map(entriesOf(tree).map(({ key, value }) => [key, textOf(value) ?? ""]));
}

function textsOf(tree: Tree | undefined): string[] {
  return itemsOf(tree).map((item) => textOf(item) ?? "");
}
