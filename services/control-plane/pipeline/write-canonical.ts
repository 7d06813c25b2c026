import type { Pipeline, Step } from "@ritmo/contract/ritmo/pipeline/v1/pipeline_pb.js";
import { durationText, sizeText } from "./grammars.ts";

/** A pipeline in its canonical written form: long forms only, every default spelt out. It parses to itself. */
export function writeCanonical(pipeline: Pipeline): string {
  const lines = [`version: ${pipeline.version}`, "steps:"];
  for (const step of pipeline.steps) {
    lines.push(`  ${key(step.name)}:`, ...linesOf(step).map((line) => `    ${line}`));
  }
  return `${lines.join("\n")}\n`;
}

function linesOf(step: Step): string[] {
  const { cpuMillis = 0, memoryBytes = 0n } = step.resources ?? {};
  return [
    ...list("run", step.run.map(quoted)),
    ...list("needs", step.needs.map(quoted)),
    ...map(
      "env",
      step.env.map(({ name, value }) => [name, quoted(value)]),
    ),
    ...map(
      "requires",
      step.requires.map((label) => [label.key, quoted(label.value)]),
    ),
    ...map("resources", [
      ...(cpuMillis ? [["cpu", String(cpuMillis / 1000)] as const] : []),
      ...(memoryBytes ? [["memory", sizeText(Number(memoryBytes))] as const] : []),
    ]),
    ...list("artifacts", step.artifacts.map(quoted)),
    ...list(
      "inputs",
      step.inputs.map(({ artifacts, to }) => flow({ artifacts, to })),
    ),
    `timeout: ${durationText(Number(step.timeout?.seconds ?? 0n))}`,
    ...(step.image ? [`image: ${quoted(step.image)}`] : []),
    ...(step.shell ? [`shell: ${quoted(step.shell)}`] : []),
    `checkout: ${step.checkout}`,
    ...(step.submodules ? ["submodules: true"] : []),
  ];
}

function list(name: string, items: string[]): string[] {
  return items.length === 0 ? [] : [`${name}:`, ...items.map((item) => `  - ${item}`)];
}

function map(name: string, entries: (readonly [string, string])[]): string[] {
  return entries.length === 0 ? [] : [`${name}:`, ...entries.map(([one, value]) => `  ${key(one)}: ${value}`)];
}

function flow(values: Record<string, string>): string {
  const parts = Object.entries(values).filter(([, value]) => value !== "");
  return `{ ${parts.map(([one, value]) => `${one}: ${quoted(value)}`).join(", ")} }`;
}

/** A key as it is, where nothing else can be read into it. */
function key(name: string): string {
  return /^[A-Za-z_][A-Za-z0-9_.-]*$/.test(name) ? name : quoted(name);
}

/** Text in double quotes: what JSON writes is YAML, but for the line ends of Unicode and DEL. */
function quoted(text: string): string {
  return JSON.stringify(text).replace(
    /[\u007f-\u009f\u2028\u2029\ufeff]/g,
    (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
