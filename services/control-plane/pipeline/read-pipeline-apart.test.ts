import { expect, test } from "vitest";
import { readPipeline } from "./read-pipeline.ts";
import { readPipelineApart } from "./read-pipeline-apart.ts";

const many = (count: number, more = "") =>
  `version: 1\nsteps:\n${Array.from({ length: count }, (_, i) => `  step-${i}: { run: echo ${i} }`).join("\n")}\n${more}`;

test.each([
  ["small and good", many(2)],
  ["small and wrong", many(2, "  bad: { rum: x }\n")],
  ["large and good", many(2_000)],
  ["large and wrong", many(2_000, "  bad: { rum: x }\n")],
])("a pipeline that is %s reads the same apart as here", async (_, text) => {
  expect(await readPipelineApart(text, "p.yaml")).toEqual(readPipeline(text, "p.yaml"));
});

test("a large pipeline does not hold up this process while it is read", async () => {
  let turns = 0;
  const timer = setInterval(() => turns++, 1);
  const { pipeline } = await readPipelineApart(many(10_000));
  clearInterval(timer);
  expect(pipeline?.steps).toHaveLength(10_000);
  // Reading it here would let none of them run.
  expect(turns).toBeGreaterThan(20);
});
