import * as grammar from "./grammars.ts";

/** A piece of the written form: what may stand in one place. */
export type Form = TextForm | BooleanForm | ListForm | MapForm | RecordForm;

export interface TextForm {
  kind: "text";
  grammar: grammar.Grammar;
  /** True: braces of an expression are an error whose fix says how the value gets there. */
  code?: true;
  /** True: a mapping in its place belongs to the full language. */
  mappingLater?: true;
}
export interface BooleanForm {
  kind: "boolean";
}
export interface ListForm {
  kind: "list";
  of: Form;
  /** True: one alone may be written without the list. */
  short: boolean;
  max: number;
}
export interface MapForm {
  kind: "map";
  /** "a step", "a variable". */
  what: string;
  names: grammar.Grammar;
  values: Form;
  max: number;
}
export interface RecordForm {
  kind: "record";
  /** "a pipeline", "a step". */
  what: string;
  keys: readonly Key[];
  /** Keys of the full language that this version does not have. */
  later: readonly string[];
}

export interface Key {
  name: string;
  form: Form;
  /** One or two sentences for people. */
  help: string;
  /** YAML, on one line. */
  example: string;
  required?: true;
  /** What holds where it is left out. */
  fallback?: string;
  /** What other systems call it. */
  elsewhere?: readonly string[];
}

export const MAX_STEPS = 10_000;

const text = (of: grammar.Grammar): TextForm => ({ kind: "text", grammar: of });
const list = (of: Form, max: number): ListForm => ({ kind: "list", of, short: true, max });

const env: MapForm = {
  kind: "map",
  what: "a variable",
  names: grammar.envName,
  values: text(grammar.envValue),
  max: 1000,
};

const imageKey: Key = {
  name: "image",
  form: text(grammar.image),
  help: "The container image that the step runs in; it needs a worker with a container engine. Without it the step is a process on the worker.",
  example: "image: node:26",
  elsewhere: ["container", "docker"],
};
const timeoutKey: Key = {
  name: "timeout",
  form: text(grammar.duration),
  help: "How long the step may run, from 1s to 7d. A step that is not over by then is ended, and its outcome is timeout.",
  example: "timeout: 20m",
  fallback: "1h",
  elsewhere: ["timeout-minutes", "timeout_in_minutes", "time_limit"],
};

const resources: RecordForm = {
  kind: "record",
  what: "resources",
  keys: [
    {
      name: "cpu",
      form: text(grammar.cpu),
      help: "How many CPUs the step takes of its worker.",
      example: "cpu: 2",
      fallback: "nothing is reserved",
      elsewhere: ["cpus"],
    },
    {
      name: "memory",
      form: text(grammar.size),
      help: "How much memory the step takes of its worker.",
      example: "memory: 4GiB",
      fallback: "nothing is reserved",
      elsewhere: ["mem", "ram"],
    },
  ],
  later: ["disk"],
};

const input: RecordForm = {
  kind: "record",
  what: "an input",
  keys: [
    {
      name: "artifacts",
      form: text(grammar.stepName),
      help: "The step whose artifacts are wanted; one that this step needs, directly or through others.",
      example: "artifacts: compile",
      required: true,
      elsewhere: ["from", "step", "job"],
    },
    {
      name: "to",
      form: text(grammar.folder),
      help: "A folder of the workspace to put them under.",
      example: "to: parts",
      fallback: "they keep their own paths",
      elsewhere: ["path", "into"],
    },
  ],
  later: [],
};

export const stepForm: RecordForm = {
  kind: "record",
  what: "a step",
  keys: [
    {
      name: "run",
      form: list({ kind: "text", grammar: grammar.command, code: true }, 1000),
      help: "What the step does: a command, several lines of them, or a list. One shell runs all of it and stops at the first command that fails; each entry of a list is a group of the log.",
      example: "run: [npm ci, npm test]",
      required: true,
      elsewhere: ["script", "commands", "command", "cmd", "steps"],
    },
    {
      name: "needs",
      form: list({ ...text(grammar.stepName), mappingLater: true }, MAX_STEPS),
      help: "Steps that must have succeeded before this one starts. When one of them does not succeed, this one is skipped.",
      example: "needs: [compile]",
      fallback: "the step starts at once",
      elsewhere: ["depends_on", "depends-on", "dependsOn", "dependencies", "after", "requires_steps"],
    },
    {
      name: "env",
      form: env,
      help: "Variables of the step's environment, over those of the pipeline. Values are taken as they are spelt: 3.10 stays 3.10.",
      example: "env: { NODE_ENV: test }",
      elsewhere: ["environment", "variables", "vars"],
    },
    {
      name: "requires",
      form: {
        kind: "map",
        what: "a label",
        names: grammar.labelKey,
        values: text(grammar.labelValue),
        max: 64,
      },
      help: "Labels that a worker must have, each with this very value, to be given the step.",
      example: 'requires: { gpu: "true" }',
      fallback: "any worker",
      elsewhere: ["runs-on", "runs_on", "tags", "agents", "labels", "node"],
    },
    {
      name: "resources",
      form: resources,
      help: "What the step takes of its worker. It waits until a worker has that much free.",
      example: "resources: { cpu: 2, memory: 4GiB }",
    },
    {
      name: "artifacts",
      form: list({ ...text(grammar.glob), mappingLater: true }, 1000),
      help: "Files to keep, as patterns in the manner of git ignores, from the workspace's top.",
      example: 'artifacts: ["dist/**"]',
      elsewhere: ["artifact_paths", "outputs_files", "save"],
    },
    {
      name: "inputs",
      form: list(input, 1000),
      help: "Artifacts of earlier steps to put into the workspace before the step starts.",
      example: "inputs: [{ artifacts: compile }]",
    },
    timeoutKey,
    imageKey,
    {
      name: "shell",
      form: text(grammar.shell),
      help: "The program that is given the commands.",
      example: "shell: sh -e",
      fallback: "bash -eo pipefail where there is a bash, else sh -e",
    },
    {
      name: "checkout",
      form: { kind: "boolean" },
      help: "Whether the step starts from a checkout of the build's commit.",
      example: "checkout: false",
      fallback: "true",
      elsewhere: ["clone"],
    },
    {
      name: "submodules",
      form: { kind: "boolean" },
      help: "Whether the checkout brings the repository's submodules, each at the commit that it records.",
      example: "submodules: true",
      fallback: "false",
      elsewhere: ["recursive"],
    },
  ],
  later: [
    ...["stage", "matrix", "when", "run_if", "services", "secrets", "cache", "retry", "allow_failure", "reports"],
    ...["outputs", "approval", "parallelism", "finally", "generate", "trigger", "manual", "delay", "identity"],
    ...["deploy", "concurrency", "use"],
  ],
};

/**
 * The written form of a pipeline: the one definition behind the checks of keys and values, the JSON Schema, and the
 * reference in docs/pipeline.md.
 */
export const pipelineForm: RecordForm = {
  kind: "record",
  what: "a pipeline",
  keys: [
    {
      name: "version",
      form: text(grammar.version),
      help: "The version of the language: 1.",
      example: "version: 1",
      required: true,
    },
    {
      name: "env",
      form: env,
      help: "Variables of the environment of every step.",
      example: "env: { NODE_ENV: test }",
      elsewhere: ["environment", "variables", "vars"],
    },
    {
      name: "defaults",
      form: { kind: "record", what: "defaults", keys: [imageKey, timeoutKey], later: [] },
      help: "What holds for every step that does not say otherwise.",
      example: "defaults: { timeout: 20m }",
      elsewhere: ["default"],
    },
    {
      name: "steps",
      form: { kind: "map", what: "a step", names: grammar.stepName, values: stepForm, max: MAX_STEPS },
      help: "The steps by their names. Those without needs start at once, each on whichever worker is free.",
      example: "steps: { test: { run: npm test } }",
      required: true,
      elsewhere: ["jobs", "tasks", "pipeline"],
    },
  ],
  later: ["triggers", "parameters", "concurrency", "stages", "templates"],
};
