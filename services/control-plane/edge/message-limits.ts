import type { DescMethod } from "@bufbuild/protobuf";
import { methodName } from "./method-scopes.ts";

const SMALL_BYTES = 64 * 1024;
const LARGE_BYTES = 1024 * 1024;

// Those that carry a pipeline.
const LARGE = new Set([
  "ritmo.job.v1.JobService/CreateJob",
  "ritmo.job.v1.JobService/UpdateJob",
  "ritmo.pipeline.v1.PipelineService/ValidatePipeline",
]);

/** The largest request message that a public method takes. */
export function maxRequestBytes(method: DescMethod): number {
  return LARGE.has(methodName(method)) ? LARGE_BYTES : SMALL_BYTES;
}
