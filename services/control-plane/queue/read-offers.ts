import type { Sql } from "../store/open-database.ts";
import type { LeasedStep } from "./claim-steps.ts";

/** Leases that are held already, as offers: for a worker that reports nothing of them, because the offer was lost. */
export async function readOffers(sql: Sql, leaseIds: string[]): Promise<LeasedStep[]> {
  return await sql<LeasedStep[]>`
    SELECT l.lease_id AS "leaseId", a.id AS "attemptId", l.attempt, l.id AS "stepId", l.spec,
      s.cpu_millis AS "cpuMillis", s.memory_bytes AS "memoryBytes", l.build_id AS "buildId",
      b.number AS "buildNumber", j.name AS job, b.repository, b.commit,
      b.source_kind AS "sourceKind", b.source_name AS "sourceName", s.pool, 0::float8 AS "waitedSeconds"
    FROM steps l JOIN attempts a ON a.lease_id = l.lease_id JOIN shapes s ON s.id = l.shape_id
      JOIN builds b ON b.id = l.build_id JOIN jobs j ON j.id = b.job_id
    WHERE l.lease_id = ANY(${leaseIds}::uuid[])`;
}
