import { createHash } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { type SyncRequest, type SyncResponse, SyncResponseSchema } from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import { labelSet } from "../fleet/label-set.ts";
import type { WorkerCaller } from "../identity/caller.ts";
import { claimSteps } from "../queue/claim-steps.ts";
import type { HeldLease } from "../queue/read-leases.ts";
import { readOffers } from "../queue/read-offers.ts";
import { encodeOffer } from "./encode-offer.ts";
import { encodeVerdict } from "./encode-verdict.ts";
import { sessionGone } from "./open-session.ts";
import { reconcile } from "./reconcile.ts";
import type { Attendance } from "./worker-stream.ts";

/**
 * A report outside the stream: renews the session, and answers as the stream would, with new steps for its free slots.
 * Refuses with SESSION_GONE.
 */
export async function syncWorker(
  { core, renewals }: Attendance,
  worker: WorkerCaller,
  request: SyncRequest,
): Promise<SyncResponse> {
  const { sessionId, report } = request;
  const [row] = await core.db.sql<{ labels: string[]; slots: number }[]>`
    SELECT ${labelSet(core.db.sql)} AS labels, w.slots FROM sessions s JOIN workers w ON w.id = s.worker_id
    WHERE s.id = ${sessionId} AND s.worker_id = ${worker.workerId}
      AND s.resume_key_hash = ${createHash("sha256").update(request.resumeKey).digest()}`;
  if (!row) throw sessionGone(sessionId);
  const renewal = await renewals.renew(sessionId, 0, report?.draining ?? false);
  if (renewal.kind !== "renewed") throw sessionGone(sessionId);
  const said = (report?.held ?? []).map((held) => held.leaseId);
  const accepted = request.accepted.map((one) => one.leaseId);
  const { verdicts, missing } = reconcile(said, renewal.leases);
  const lost = missing.filter((leaseId) => !accepted.includes(leaseId));
  const draining = renewal.draining || (report?.draining ?? false);
  const offers = lost.length > 0 ? await readOffers(core.db.sql, lost) : [];
  if (!draining) {
    const { orgId, workerId, pool } = worker;
    const claimant = {
      orgId,
      workerId,
      sessionId,
      pool,
      labels: row.labels,
      freeSlots: freeSlots(row.slots, renewal.leases, report?.capacity?.freeSlots),
      freeCpuMillis: report?.capacity?.freeCpuMillis ?? 0,
      freeMemoryBytes: Number(report?.capacity?.freeMemoryBytes ?? 0n),
    };
    offers.push(...(await claimSteps(core.db, claimant)));
  }
  return create(SyncResponseSchema, {
    renewed: { seq: report?.seq ?? 0n, verdicts: verdicts.map(encodeVerdict) },
    offers: offers.map((step) => encodeOffer(step, core.url)),
    stops: renewal.leases.filter((l) => l.cancelRequested).map((l) => ({ leaseId: l.leaseId, reason: l.cancelReason })),
    draining,
  });
}

function freeSlots(slots: number, leases: HeldLease[], said = 0): number {
  return Math.max(0, Math.min(slots - leases.length, said));
}
