import { createClient, createRouterTransport } from "@connectrpc/connect";
import { PipelineService } from "@ritmo/contract/ritmo/pipeline/v1/pipeline_pb.js";
import { expect, test } from "vitest";
import { pipelineService } from "./pipeline-service.ts";

const client = createClient(
  PipelineService,
  createRouterTransport(({ service }) => void service(PipelineService, pipelineService())),
);

test("text that is right is answered with its canonical form, which is answered with itself", async () => {
  const first = await client.validatePipeline({ text: "version: 1\nsteps: { a: { run: make } }" });
  expect(first.diagnostics).toEqual([]);
  expect(first.pipeline?.steps.map(({ name }) => name)).toEqual(["a"]);
  expect((await client.validatePipeline({ text: first.canonicalText })).canonicalText).toBe(first.canonicalText);
});

test("text that is wrong is an answer, with the file's name as it was given", async () => {
  const { diagnostics, pipeline } = await client.validatePipeline({ text: "steps: {", file: "ci.yaml" });
  expect(pipeline).toBeUndefined();
  expect(diagnostics[0]).toMatchObject({ file: "ci.yaml", line: 1 });
  expect((await client.validatePipeline({ text: "" })).diagnostics[0]).toMatchObject({ file: ".ritmo.yaml" });
});

test("text over the limit is refused, at the limit it is read", async () => {
  const { validatePipeline } = pipelineService();
  const start = "version: 1\nsteps: { a: { run: make } }\n#";
  const fits = start + "x".repeat(512 * 1024 - start.length);
  const call = async (text: string) =>
    validatePipeline({ $typeName: "ritmo.pipeline.v1.ValidatePipelineRequest", text, file: "" }, {} as never);
  expect(await call(fits)).toMatchObject({ diagnostics: [] });
  await expect(call(`${fits}x`)).rejects.toMatchObject({ code: "invalid_argument", reason: "TEXT_TOO_LARGE" });
});

test("the schema is JSON", async () => {
  const { jsonSchema } = await client.getSchema({});
  expect(JSON.parse(jsonSchema)).toMatchObject({ $schema: "https://json-schema.org/draft/2020-12/schema" });
});
