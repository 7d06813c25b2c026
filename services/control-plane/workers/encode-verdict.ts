import { create } from "@bufbuild/protobuf";
import { type Verdict, VerdictSchema } from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import type { reconcile } from "./reconcile.ts";

/** What to do with one attempt, as the worker gets to know it. */
export function encodeVerdict(v: ReturnType<typeof reconcile>["verdicts"][number]): Verdict {
  const { leaseId, lease } = v;
  if (v.verdict === "unknown" || !lease) {
    return create(VerdictSchema, { leaseId, verdict: { case: "unknown", value: {} } });
  }
  const durable = { durableLogOffset: BigInt(lease.logEnd), durablePrepareOffset: BigInt(lease.prepareEnd) };
  if (v.verdict === "stop") {
    return create(VerdictSchema, {
      leaseId,
      verdict: { case: "stop", value: { leaseId, reason: lease.cancelReason, ...durable } },
    });
  }
  return create(VerdictSchema, { leaseId, verdict: { case: "goOn", value: durable } });
}
