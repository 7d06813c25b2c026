import type { Sql } from "../store/open-database.ts";

/** A lease as its session holds it, with what an answer to a report needs. */
export interface HeldLease {
  sessionId: string;
  leaseId: string;
  stepId: string;
  cancelRequested: boolean;
  cancelReason: string;
  logEnd: number;
  prepareEnd: number;
  cpuMillis: number;
  memoryBytes: number;
}

/** The live leases of sessions. */
export async function readLeases(sql: Sql, sessionIds: string[]): Promise<HeldLease[]> {
  return await sql<HeldLease[]>`
    SELECT s.session_id AS "sessionId", s.lease_id AS "leaseId", s.id AS "stepId",
      s.cancel_requested_at IS NOT NULL AS "cancelRequested", b.cancel_reason AS "cancelReason",
      a.log_end AS "logEnd", a.prepare_end AS "prepareEnd", h.cpu_millis AS "cpuMillis", h.memory_bytes AS "memoryBytes"
    FROM steps s JOIN attempts a ON a.lease_id = s.lease_id JOIN builds b ON b.id = s.build_id
      JOIN shapes h ON h.id = s.shape_id
    WHERE s.session_id = ANY(${sessionIds})`;
}
