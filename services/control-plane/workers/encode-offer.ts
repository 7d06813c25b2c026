import { createHash } from "node:crypto";
import { create, fromBinary } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { StepSchema } from "@ritmo/contract/ritmo/pipeline/v1/pipeline_pb.js";
import { type Offer, OfferSchema } from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import type { LeasedStep } from "../queue/claim-steps.ts";

/** How long a worker has to say that an offer arrived. */
export const ACCEPT_WITHIN_MS = 5_000;

/** A leased step as its worker gets to know it. `url` is the control plane's own address. */
export function encodeOffer(step: LeasedStep, url: string): Offer {
  const { sourceKind: kind, sourceName: name } = step;
  const spec = fromBinary(StepSchema, step.spec);
  return create(OfferSchema, {
    leaseId: step.leaseId,
    attemptId: step.attemptId,
    stepId: step.stepId,
    buildId: step.buildId,
    attempt: step.attempt,
    acceptWithin: durationFromMs(ACCEPT_WITHIN_MS),
    spec,
    source: {
      repository: step.repository,
      commit: step.commit,
      ref: kind === "branch" ? `refs/heads/${name}` : kind === "tag" ? `refs/tags/${name}` : "",
      submodules: spec.submodules,
    },
    build: {
      number: BigInt(step.buildNumber),
      job: step.job,
      branch: kind === "branch" ? name : "",
      tag: kind === "tag" ? name : "",
      url: `${url}/jobs/${step.job}/builds/${step.buildNumber}`,
    },
    traceContext: { traceparent: traceparent(step.buildId, step.attemptId) },
  });
}

/** One trace per build, whose id follows from the build's, so that any replica names the same (W3C Trace Context). */
function traceparent(buildId: string, attemptId: string): string {
  const hex = (text: string, chars: number) => createHash("sha256").update(text).digest("hex").slice(0, chars);
  return `00-${hex(buildId, 32)}-${hex(attemptId, 16)}-01`;
}
