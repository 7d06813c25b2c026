import type { HeldLease } from "../queue/read-leases.ts";

export interface Reconciled {
  /** What to do with each attempt that the worker reports, in its order. */
  verdicts: { leaseId: string; verdict: "go-on" | "stop" | "unknown"; lease?: HeldLease }[];
  /** Leases that the worker does not report. */
  missing: string[];
}

/** What a worker says it holds, beside what it does hold: the difference, both ways. */
export function reconcile(reported: string[], leases: HeldLease[]): Reconciled {
  const byId = new Map(leases.map((lease) => [lease.leaseId, lease]));
  const said = new Set(reported);
  return {
    verdicts: reported.map((leaseId) => {
      const lease = byId.get(leaseId);
      if (!lease) return { leaseId, verdict: "unknown" };
      return { leaseId, verdict: lease.cancelRequested ? "stop" : "go-on", lease };
    }),
    missing: leases.filter((lease) => !said.has(lease.leaseId)).map((lease) => lease.leaseId),
  };
}
