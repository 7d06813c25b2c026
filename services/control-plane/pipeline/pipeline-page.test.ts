import { readFileSync } from "node:fs";
import { type Diagnostic, Severity } from "@ritmo/contract/ritmo/pipeline/v1/pipeline_pb.js";
import { Ajv2020 } from "ajv/dist/2020.js";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { makeSchema } from "./make-schema.ts";
import { readPipeline } from "./read-pipeline.ts";
import { type Form, pipelineForm } from "./written-form.ts";

const page = readFileSync(new URL("../../../docs/pipeline.md", import.meta.url), "utf8");
const right = [...page.matchAll(/^```yaml\n(.*?)^```/gms)].map((found) => found[1] as string);
const wrong = [...page.matchAll(/^```yaml wrong\n(.*?)^```\n\n```text\n(.*?)^```/gms)].map((found) => ({
  text: found[1] as string,
  said: (found[2] as string).trimEnd().split("\n"),
}));
const validate = new Ajv2020({ strict: false }).compile(JSON.parse(makeSchema()));

const line = ({ line, column, message, fix }: Diagnostic) => `${line}:${column} ${message}${fix ? `: ${fix}` : ""}`;

describe("docs/pipeline.md", () => {
  test("has its examples", () => {
    expect(right.length).toBeGreaterThanOrEqual(7);
    expect(wrong.length).toBeGreaterThanOrEqual(3);
  });

  test.each(right)("is right where it says so: %#", (text) => {
    expect(readPipeline(text).diagnostics.map(line)).toEqual([]);
    expect(validate(parse(text, { merge: true })), JSON.stringify(validate.errors)).toBe(true);
  });

  test.each(wrong)("says what it is answered where it is wrong: %#", ({ text, said }) => {
    expect(readPipeline(text).diagnostics.map(line)).toEqual(said);
  });
});

describe("the definition", () => {
  test.each(examplesOf(pipelineForm))("has an example that is right: %s", (_, text) => {
    expect(
      readPipeline(text)
        .diagnostics.filter(({ severity }) => severity === Severity.ERROR)
        .map(line),
    ).toEqual([]);
    expect(validate(parse(text)), JSON.stringify(validate.errors)).toBe(true);
  });

  test("refuses by the schema what the reader refuses", () => {
    const bad = ["version: 1", "version: 1\nsteps: { a: { rnu: x } }", "version: 1\nsteps: { A: { run: x } }"];
    for (const text of bad) {
      expect(validate(parse(text)), text).toBe(false);
      expect(readPipeline(text).pipeline, text).toBeUndefined();
    }
  });
});

/** Each key's example, put where it belongs in an otherwise good pipeline. */
function examplesOf(form: Form, wrap = (inner: string) => inner): [string, string][] {
  if (form.kind === "list") return examplesOf(form.of, wrap);
  if (form.kind !== "record") return [];
  return form.keys.flatMap((key): [string, string][] => {
    const inner = (more: string) => wrap(more);
    const within: Record<string, (one: string) => string> = {
      defaults: (one) => wrap(`defaults: { ${one} }`),
      resources: (one) => wrap(`resources: { ${one} }`),
      inputs: (one) => wrap(`inputs: [{ ${one.startsWith("artifacts") ? one : `artifacts: compile, ${one}`} }]`),
    };
    const own: [string, string] = [`${form.what}: ${key.example}`, complete(inner(key.example))];
    if (key.name === "steps" && key.form.kind === "map") return [own, ...examplesOf(key.form.values, stepOf)];
    return [own, ...examplesOf(key.form, within[key.name] ?? wrap)];
  });
}

function stepOf(inner: string): string {
  const run = inner.startsWith("run:") ? "" : "run: make\n    ";
  const needs = inner.startsWith("needs:") ? "" : "needs: [compile]\n    ";
  return `steps:\n  compile: { run: make, artifacts: [x] }\n  it:\n    ${run}${needs}${inner}`;
}

function complete(text: string): string {
  const lines = [text];
  if (!/^version:/m.test(text)) lines.unshift("version: 1");
  if (!/^steps:/m.test(text)) lines.push("steps: { test: { run: make } }");
  return `${lines.join("\n")}\n`;
}
