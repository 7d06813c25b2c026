import { create, fromBinary, fromJson, toBinary, toJson } from "@bufbuild/protobuf";
import { CreateJobRequestSchema } from "@ritmo/contract/ritmo/job/v1/job_pb.js";
import { expect, test } from "vitest";
import { hashRequest } from "./hash-request.ts";

const job = { name: "a", repository: "r", pipeline: { case: "pipelinePath" as const, value: "p" }, revision: 7n };

test("the same request has the same hash, however it came", () => {
  const made = create(CreateJobRequestSchema, { requestId: "1", job });
  const binary = fromBinary(CreateJobRequestSchema, toBinary(CreateJobRequestSchema, made));
  const json = fromJson(CreateJobRequestSchema, toJson(CreateJobRequestSchema, made));
  const another = create(CreateJobRequestSchema, { job, requestId: "2" });
  expect(new Set([made, binary, json, another].map((request) => hashRequest(request).toString("hex"))).size).toBe(1);
});

test("every difference shows", () => {
  const variants = [
    { job },
    {},
    { job: { ...job, name: "b" } },
    { job: { ...job, revision: 8n } },
    { job: { ...job, pipeline: { case: "pipelineText" as const, value: "p" } } },
    { job: { ...job, name: "", description: "a" } },
    { job: { ...job, name: 'a","repository":"' } },
  ];
  const hashes = variants.map((variant) => hashRequest(create(CreateJobRequestSchema, variant)).toString("hex"));
  expect(new Set(hashes).size).toBe(variants.length);
});
