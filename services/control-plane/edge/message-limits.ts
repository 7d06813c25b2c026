import type { DescMethod } from "@bufbuild/protobuf";
import type { ConnectError } from "@connectrpc/connect";
import { Refusal } from "../../process/refusal.ts";
import { methodName } from "./method-scopes.ts";
import { fromRefusal } from "./translate-error.ts";

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

/** RESOURCE_EXHAUSTED MESSAGE_TOO_LARGE, which names the limit. */
export function messageTooLarge(maxBytes: number): ConnectError {
  return fromRefusal(
    new Refusal("resource_exhausted", "MESSAGE_TOO_LARGE", `a message is larger than ${maxBytes} bytes`, {
      metadata: { max_bytes: `${maxBytes}` },
    }),
  );
}
