import { equals } from "@bufbuild/protobuf";
import { PipelineSchema } from "@ritmo/contract/ritmo/pipeline/v1/pipeline_pb.js";
import fc from "fast-check";
import { expect, test } from "vitest";
import { stringify } from "yaml";
import { durationSeconds, durationText, sizeBytes, sizeText } from "./grammars.ts";
import { makePlan } from "./make-plan.ts";
import { readPipeline } from "./read-pipeline.ts";

const name = fc.stringMatching(/^[a-z0-9][a-z0-9-]{0,20}$/);
const anyText = fc.string({ unit: "grapheme", maxLength: 40 });
const command = fc.oneof(
  anyText,
  fc.constantFrom("a: b", "- x", "# no", "'", '"', "a\n\nb\n", "x\t", "~", "{ a", "*a", "&a", "\u2028\u0085"),
);
const variables = fc.dictionary(fc.stringMatching(/^[A-Z_][A-Z0-9_]{0,8}$/), anyText, { maxKeys: 4 });

const step = fc.record(
  {
    run: fc.array(command, { minLength: 1, maxLength: 3 }),
    env: variables,
    requires: fc.dictionary(fc.stringMatching(/^[a-z][a-z0-9./-]{0,8}$/), fc.stringMatching(/^[a-zA-Z0-9.=]{1,8}$/), {
      maxKeys: 3,
    }),
    artifacts: fc.array(fc.constantFrom("dist/**", "!x", "*.log", "a b", "#x", "ü"), { maxLength: 3 }),
    timeout: fc.constantFrom("1s", "90s", "60m", "7d", "25h"),
    resources: fc.record({
      cpu: fc.constantFrom("0.001", "2", "1.5"),
      memory: fc.constantFrom("1KiB", "1024MiB", "3GiB"),
    }),
    shell: fc.constantFrom("sh -e", "python3", "bash -c 'x: y'"),
    checkout: fc.boolean(),
    image: fc.constantFrom("node:26", "a.b/c@sha256:".padEnd(77, "0")),
  },
  { requiredKeys: ["run"] },
);

/** Steps each of which needs some before it. */
const pipeline = fc.uniqueArray(name, { minLength: 1, maxLength: 6 }).chain((names) =>
  fc.record({
    version: fc.constant(1),
    env: variables,
    steps: fc.tuple(...names.map((_, n) => fc.tuple(step, fc.subarray(names.slice(0, n))))).map((all) => {
      return Object.fromEntries(
        all.map(([one, needs], n) => [
          names[n],
          { ...one, needs, inputs: needs.map((need) => ({ artifacts: need, to: "in" })) },
        ]),
      );
    }),
  }),
);

test("whatever reads without an error, its canonical text reads to the same and to itself", () => {
  let right = 0;
  fc.assert(
    fc.property(pipeline, fc.boolean(), (written, asJson) => {
      const first = readPipeline(asJson ? JSON.stringify(written) : stringify(written));
      if (!first.pipeline) return;
      right++;
      const again = readPipeline(first.canonicalText as string);
      expect(again.diagnostics.filter(({ code }) => code !== "input-empty")).toEqual([]);
      expect(again.pipeline && equals(PipelineSchema, again.pipeline, first.pipeline)).toBe(true);
      expect(again.canonicalText).toBe(first.canonicalText);
    }),
    { numRuns: 200 },
  );
  // The positive control: most of what is made up is right.
  expect(right).toBeGreaterThan(60);
});

test("any text at all is answered, with places that are in it", () => {
  const pieces = fc.constantFrom(
    "version: 1\n",
    "steps:\n",
    "  a:\n",
    "    run: x\n",
    "{",
    "}",
    "[",
    "]",
    "- ",
    ": ",
    "*a",
    "&a ",
    "!x ",
    "<<: ",
    "\n",
    "'",
    '"',
    "|\n",
    "#",
    "\t",
    "? ",
    "%",
    "--- ",
    "\u2028",
    "\r",
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string({ unit: "binary" }),
        fc.array(pieces, { maxLength: 30 }).map((all) => all.join("")),
      ),
      (text) => {
        const { diagnostics, pipeline: read } = readPipeline(text);
        expect(read !== undefined || diagnostics.length > 0).toBe(true);
        const lines = text.replace(/^\ufeff/, "").split("\n");
        for (const { line, column, endLine, endColumn, message } of diagnostics) {
          expect(message).not.toBe("");
          expect(line).toBeGreaterThanOrEqual(1);
          expect(endLine).toBeLessThanOrEqual(lines.length);
          expect(column).toBeLessThanOrEqual((lines[line - 1]?.length ?? 0) + 1);
          expect(endLine > line || endColumn >= column).toBe(true);
        }
      },
    ),
    { numRuns: 300 },
  );
});

test("durations and sizes are written as they are read", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 604_800 }),
      fc.integer({ min: 1, max: 999_999_999 }),
      (seconds, kibibytes) => {
        expect(durationSeconds(durationText(seconds))).toBe(seconds);
        expect(sizeBytes(sizeText(kibibytes * 1024))).toBe(kibibytes * 1024);
      },
    ),
  );
});

test("a plan has the steps in their order, with what a worker must have", () => {
  const text =
    'version: 1\nsteps:\n  b: { run: x, image: alpine, requires: { z: "1", a: x } }\n  a: { run: x, needs: [b] }\n';
  const { pipeline: read } = readPipeline(text);
  expect(makePlan(read as never).steps).toMatchObject([
    { key: "b", position: 0, needs: [], requires: ["a=x", "ritmo/executor=docker", "z=1"] },
    { key: "a", position: 1, needs: ["b"], requires: ["ritmo/executor=process"] },
  ]);
});
