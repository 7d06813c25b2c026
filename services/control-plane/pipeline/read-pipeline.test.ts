import { equals, toBinary } from "@bufbuild/protobuf";
import { type Diagnostic, PipelineSchema, Severity, type Step } from "@ritmo/contract/ritmo/pipeline/v1/pipeline_pb.js";
import { describe, expect, test } from "vitest";
import { readPipeline } from "./read-pipeline.ts";

const line = (d: Diagnostic) =>
  `${d.line}:${d.column}-${d.endLine}:${d.endColumn} ${d.code}${d.fix ? ` (${d.fix})` : ""}`;
const found = (text: string) => readPipeline(text).diagnostics.map(line);
const inStep = (text: string) =>
  `version: 1\nsteps:\n  before: { run: make, artifacts: [x] }\n  it:\n${text.replace(/^/gm, "    ")}\n`;
/** What is found in a step that is otherwise good. */
const foundIn = (text: string) => found(inStep(/^run:/m.test(text) ? text : `run: make\n${text}`));
const step = (text: string): Step => {
  const { pipeline, diagnostics } = readPipeline(inStep(/^run:/m.test(text) ? text : `run: make\n${text}`));
  expect(diagnostics.map(line)).toEqual([]);
  return pipeline?.steps[1] as Step;
};

describe("what is right", () => {
  test("short forms become long ones, and every default is filled in", () => {
    const { pipeline, diagnostics } = readPipeline("version: 1\nsteps:\n  a:\n    run: make\n");
    expect(diagnostics).toEqual([]);
    expect(pipeline).toMatchObject({
      version: 1,
      steps: [{ name: "a", run: ["make"], needs: [], env: [], requires: [] }],
    });
    expect(pipeline?.steps[0]).toMatchObject({ image: "", shell: "", checkout: true, artifacts: [], inputs: [] });
    expect(pipeline?.steps[0]?.timeout?.seconds).toBe(3600n);
    expect(pipeline?.steps[0]?.resources).toMatchObject({ cpuMillis: 0, memoryBytes: 0n });
  });

  test("values keep their spelling", () => {
    const { env } = step('env: { A: 3.10, B: no, C: 007, D: "", E: 1e3, F: ~, G: true, H: 0x1F, I: null, J: "1.0" }');
    expect(env.map(({ value }) => value)).toEqual(["3.10", "no", "007", "", "1e3", "~", "true", "0x1F", "null", "1.0"]);
    expect(step("requires: { node: 3.10, gpu: yes }").requires.map(({ key, value }) => `${key}=${value}`)).toEqual([
      "gpu=yes",
      "node=3.10",
    ]);
    expect(step("env: { A: !!str 1.10 }").env[0]?.value).toBe("1.10");
    expect(
      readPipeline("version: 1\nsteps: { 007: { run: x }, no: { run: x } }").pipeline?.steps.map((s) => s.name),
    ).toEqual(["007", "no"]);
  });

  test("env of the step goes before that of the pipeline, defaults behind both", () => {
    const { pipeline } = readPipeline(
      "version: 1\nenv: { A: p, B: p }\ndefaults: { image: node:26, timeout: 2m }\nsteps:\n  a: { run: x, env: { B: s, C: s } }\n  b: { run: x, image: alpine, timeout: 3h }\n",
    );
    expect(pipeline?.steps[0]?.env.map(({ name, value }) => `${name}=${value}`)).toEqual(["A=p", "B=s", "C=s"]);
    expect(pipeline?.steps.map(({ image, timeout }) => [image, timeout?.seconds])).toEqual([
      ["node:26", 120n],
      ["alpine", 10_800n],
    ]);
  });

  test("anchors and merge keys, what is written before what is merged, the first merged before the second", () => {
    const text =
      "version: 1\nsteps:\n  a: &a { run: x, image: alpine, timeout: 1m }\n  b: &b { run: y, shell: sh }\n  c: { <<: [*b, *a], timeout: 2m }\n";
    expect(readPipeline(text).pipeline?.steps[2]).toMatchObject({
      run: ["y"],
      image: "alpine",
      shell: "sh",
      timeout: { seconds: 120n },
    });
  });

  test.each([
    ["cpu: 2", 2000, 0n],
    ["cpu: 0.5", 500, 0n],
    ["memory: 512MiB", 0, 536_870_912n],
    ["{ cpu: 1.25, memory: 4GiB }", 1250, 4_294_967_296n],
  ])("resources %s", (text, cpuMillis, memoryBytes) => {
    expect(step(`resources: ${text.startsWith("{") ? text : `{ ${text} }`}`).resources).toMatchObject({
      cpuMillis,
      memoryBytes,
    });
  });

  test("JSON, indented by tabs, with a byte order mark, with the line ends of Windows", () => {
    for (const text of [
      '{\n\t"version": 1,\n\t"steps": { "a": { "run": "make\\tall" } }\n}',
      "\ufeffversion: 1\nsteps: { a: { run: make } }",
      "version: 1\r\nsteps:\r\n  a:\r\n    run: make\r\n",
    ]) {
      expect(readPipeline(text).diagnostics).toEqual([]);
    }
  });

  test("an input from a step that is needed by a needed one; a warning where it keeps nothing", () => {
    const text =
      "version: 1\nsteps:\n  a: { run: x, artifacts: [x] }\n  b: { run: x, needs: a }\n  c: { run: x, needs: b, inputs: [{ artifacts: a, to: in }] }\n";
    expect(readPipeline(text).pipeline?.steps[2]?.inputs).toMatchObject([{ artifacts: "a", to: "in" }]);
    const { diagnostics, pipeline } = readPipeline(text.replace(", artifacts: [x]", ""));
    expect(diagnostics).toMatchObject([{ severity: Severity.WARNING, code: "input-empty", line: 5 }]);
    expect(pipeline).toBeDefined();
  });

  test("braces of other programs are left alone in run", () => {
    for (const run of [
      "docker ps --format '{{.Names}}'",
      "x '{{json .}}'",
      "x '{{range .X}}a{{end}}'",
      "echo $" + "{{}",
      "a {{ b",
    ]) {
      expect(step(`run: ${JSON.stringify(run)}`).run).toEqual([run]);
    }
  });

  test.each(["node:26", "alpine", "ghcr.io/a/b:v1.2", "localhost:5000/x/y_z:T", `a/b@sha256:${"0".repeat(64)}`])(
    "image %s",
    (image) => {
      expect(step(`image: ${JSON.stringify(image)}`).image).toBe(image);
    },
  );
});

describe("what is wrong is shown at its place, with its fix", () => {
  test.each<[string, string[]]>([
    ["rnu: x", ["6:5-6:8 unknown-key (did you mean `run`?)"]],
    ["script: x", ["6:5-6:11 unknown-key (did you mean `run`?)"]],
    ["depends_on: [before]", ["6:5-6:15 unknown-key (did you mean `needs`?)"]],
    ["matrix: {}", ["6:5-6:11 not-supported-yet (remove it)"]],
    ["retry: 2", ["6:5-6:10 not-supported-yet (remove it)"]],
    ["matrx: {}", ["6:5-6:10 unknown-key (did you mean `matrix`?)"]],
    ["needs: [befor]", ["6:13-6:18 unknown-need (did you mean `before`?)"]],
    ["needs: [it]", ["6:13-6:15 self-need (remove it)"]],
    ["needs: [before, before]", ["6:21-6:27 duplicate-need (remove one of them)"]],
    ["needs: { step: before, optional: true }", ["6:12-6:44 not-supported-yet (write text)"]],
    ["inputs: [{ artifacts: before }]", ["6:27-6:33 input-not-needed (add `before` to `needs`)"]],
    ["inputs: [{ artifacts: nothing }]", ["6:27-6:34 unknown-input (add that step, or remove this)"]],
    ["inputs: [{ to: x }]", ["6:14-6:23 missing-key (add `artifacts: compile`)"]],
    ["inputs: [before]", ["6:14-6:20 wrong-type"]],
    ["artifacts: [/abs]", ["6:17-6:21 bad-value (write abs)"]],
    ["artifacts: ['a/../../b']", ["6:17-6:28 bad-value"]],
    ["artifacts: ['..\\b']", ["6:17-6:23 bad-value"]],
    ["artifacts: ['C:\\b']", ["6:17-6:23 bad-value"]],
    ["artifacts: [*.xml]", ['6:17-6:22 unresolved-alias (quote this: "*.xml")']],
    ["artifacts: [{ paths: [x], when: failure }]", ["6:17-6:46 not-supported-yet (write text)"]],
    ["timeout: 90", ["6:14-6:16 bad-value (write 90s, 90m or 90h)"]],
    ["timeout: 0s", ["6:14-6:16 bad-value"]],
    ["timeout: 8d", ["6:14-6:16 bad-value"]],
    ["timeout: 1h30m", ["6:14-6:19 bad-value (write 90m)"]],
    ["timeout: 10 minutes", ["6:14-6:24 bad-value (write 10m)"]],
    ["resources: { cpu: 0 }", ["6:23-6:24 bad-value"]],
    ["resources: { cpu: 500m }", ["6:23-6:27 bad-value (write 0.5)"]],
    ["resources: { memory: 4GB }", ["6:26-6:29 bad-value (write 4GiB)"]],
    ["resources: { disk: 1GiB }", ["6:18-6:22 not-supported-yet (remove it)"]],
    ["checkout: no", ["6:15-6:17 wrong-type (write true or false, without quotes)"]],
    ["image: {{ x }}", ["6:12-6:19 mapping-for-text (quote this)"]],
    ["image: '{{ matrix.node }}'", ["6:12-6:31 not-supported-yet (write the value itself)"]],
    ["image: '-v /:/host'", ["6:12-6:24 bad-value"]],
    ["image: alpine --privileged", ["6:12-6:31 bad-value"]],
    ["shell: !draft x", ["6:12-6:18 yaml-tag-resolve-failed (quote this)"]],
    ["shell: !!js/function 'x'", ["6:12-6:25 yaml-tag-resolve-failed (quote this)"]],
    ["shell: @x", ["6:12-6:13 yaml-bad-scalar-start (quote this)"]],
    ["env: { A-B: x }", ["6:12-6:15 bad-name"]],
    ["env: { RITMO_STEP: x }", ["6:12-6:22 bad-name"]],
    ["env: { A: { b: c } }", ["6:15-6:23 wrong-type (quote this)"]],
    ["env: { A: }", ['6:12-6:13 empty-value (write "" for empty text, or remove the key)']],
    ['env: { A: "\\0" }', ["6:15-6:19 bad-value"]],
    ['env: { A: "\\ud800" }', ["6:15-6:23 bad-value"]],
    ["env: [A=b]", ["6:10-6:15 wrong-type"]],
    ["requires: { ritmo/executor: docker }", ["6:17-6:31 bad-name"]],
    ["requires: { a: 'b,c' }", ["6:20-6:25 bad-value"]],
    ["env: { A: 1, A: 2 }", ["6:18-6:19 duplicate-key (remove one of them)"]],
    ["<<: x", ["6:9-6:10 bad-merge (refer to one by its anchor: *name)"]],
    ["env: &e { A: *e }", ["6:18-6:20 alias-cycle"]],
    ["run: ''", ["5:10-5:12 bad-value"]],
    ["run: echo {{ branch }}", ['5:10-5:27 expression-in-run (pass it by `env` and write "$RITMO_BRANCH")']],
    [
      "run: [x, 'echo {{ parameters.region }}']",
      ['5:14-5:44 expression-in-run (pass it by `env` and write "$PARAMETERS_REGION")'],
    ],
    [
      "run: 'x {{constructor.constructor(1)()}}'",
      ['5:10-5:46 expression-in-run (pass it by `env` and write "$CONSTRUCTOR_CONSTRUCTOR_1")'],
    ],
    ["run: { a: b }", ["5:10-5:18 wrong-type (quote this)"]],
  ])("%s", (text, expected) => {
    expect(foundIn(text)).toEqual(expected);
  });

  test.each<[string, string[]]>([
    ["", ["1:1-1:1 empty (begin with `version: 1` and `steps:`)"]],
    ["# nothing\n", ["1:1-1:1 empty (begin with `version: 1` and `steps:`)"]],
    ["just text", ["1:1-1:10 wrong-type"]],
    ["steps: { a: { run: x } }", ["1:1-1:1 missing-key (add `version: 1`)"]],
    ["version: 2\nsteps: { a: { run: x } }", ["1:10-1:11 bad-value (write 1)"]],
    ["version: 1\nsteps: {}", ["2:8-2:10 empty (add one)"]],
    ["version: 1\nsteps: [{ run: x }]", ["2:8-2:20 wrong-type"]],
    ["version: 1\nstages: [a]\nsteps: { a: { run: x } }", ["2:1-2:7 not-supported-yet (remove it)"]],
    ["version: 1\nsteps: { Build All: { run: x } }", ["2:10-2:19 bad-name (write build-all)"]],
    [`version: 1\nsteps: { ${"a".repeat(64)}: { run: x } }`, ["2:10-2:74 too-long"]],
    ["version: 1\nsteps:\n\ta: { run: x }", ["3:1-3:2 yaml-tab-as-indent (indent with spaces)"]],
    [
      "version: 1\nsteps: { a: { run: x } }\n---\nversion: 1",
      ["3:1-4:11 yaml-multiple-docs (remove the `---`; a pipeline is one document)"],
    ],
    ["version: 1\nsteps: { a: { run: x\0 } }", ["2:21-2:22 control-character (remove it)"]],
    ["version: 1\nsteps: { a: { run: \ufffd } }", ["2:20-2:21 bad-encoding (save the file as UTF-8)"]],
    ["version: 1\nsteps: { a: { run: 'x } }", ["2:26-2:26 yaml-missing-char (close the quote)"]],
    ["version: 1\nsteps:\n  a: { run: x }\n  a: { run: y }", ["4:3-4:4 duplicate-key (remove one of them)"]],
    ["version: 1\nsteps:\n  a:\n    run: x: y", ["4:10-4:11 yaml-block-as-implicit-key (quote this)"]],
    ["version: 1\nsteps:\n  a: { run: x: y }", ["3:13-3:18 yaml-block-in-flow (quote this)"]],
  ])("%j", (text, expected) => {
    expect(found(text)).toEqual(expected);
  });

  test("a cycle is shown as a path, at the need that closes it, whatever else is wrong", () => {
    const text =
      "version: 1\nsteps:\n  a: { run: x, needs: [b] }\n  b: { run: x, needs: [c] }\n  c: { run: x, needs: [d, a] }\n  d: { rnu: x }\n";
    const { diagnostics } = readPipeline(text);
    expect(diagnostics.map(line)).toEqual([
      "5:27-5:28 cycle (remove one of these needs)",
      "6:8-6:11 unknown-key (did you mean `run`?)",
    ]);
    expect(diagnostics[0]?.message).toContain("a -> b -> c -> a");
  });

  test("all at once, in order of place, at most a hundred", () => {
    const lines = Array.from({ length: 300 }, (_, n) => `  s${n}: { rnu: x }`);
    const { diagnostics } = readPipeline(`version: 1\nsteps:\n${lines.join("\n")}\n`);
    expect(diagnostics).toHaveLength(100);
    expect(diagnostics.map((d) => d.line)).toEqual(diagnostics.map((d) => d.line).toSorted((a, b) => a - b));
    expect(diagnostics.at(-1)).toMatchObject({ code: "too-many-findings", message: "and 201 more" });
  });

  test("the file is called what it is called", () => {
    expect(readPipeline("", "x.yaml").diagnostics[0]?.file).toBe("x.yaml");
  });
});

test("canonical text reads to the same pipeline and to itself", () => {
  const text = inStep(
    'run: [a, "b\\nc"]\nneeds: before\nenv: { A: \'x: y\', B: "\\u2028" }\ntimeout: 90s\ninputs: { artifacts: before, to: in }',
  );
  const first = readPipeline(text);
  const again = readPipeline(first.canonicalText as string);
  expect(again.diagnostics).toEqual([]);
  expect(equals(PipelineSchema, again.pipeline as never, first.pipeline as never)).toBe(true);
  expect(again.canonicalText).toBe(first.canonicalText);
  expect(toBinary(PipelineSchema, again.pipeline as never)).toEqual(toBinary(PipelineSchema, first.pipeline as never));
});
