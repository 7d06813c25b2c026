import { create } from "@bufbuild/protobuf";
import { type Limits, LimitsSchema } from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";

/** major * 1000 + minor; workers two minor versions older are served. */
export const PROTOCOL_VERSION = 1000;

const MAX_LOG_BYTES = 1024 ** 3;

/** What a worker is told to stay within, and what the control plane refuses beyond. */
export function limits(): Limits {
  return create(LimitsSchema, {
    maxMessageBytes: 1024 * 1024,
    maxChunkBytes: 256 * 1024,
    maxInflightBytes: 4n * 1024n * 1024n,
    maxLogBytes: BigInt(MAX_LOG_BYTES),
    maxArtifactBytes: 10n * 1024n ** 3n,
    maxArtifacts: 10_000,
  });
}
