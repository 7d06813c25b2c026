import { leaseLost, notFound } from "../../process/refusal.ts";
import type { Sql } from "../store/open-database.ts";

/** Who speaks for an attempt: its lease, and the worker that must hold it. */
export interface Holder {
  leaseId: string;
  workerId: string;
}

/** An artifact as it was promised. */
export interface Upload {
  id: string;
  path: string;
  sizeBytes: number;
  sha256: Buffer;
  mediaType: string;
  key: string;
  uploadId: string | null;
  stored: boolean;
}

/**
 * Reads an upload of the attempt that the holder has. Errors: FAILED_PRECONDITION (LEASE_LOST) when it has none;
 * NOT_FOUND (UPLOAD_NOT_FOUND) when the artifact is not of this attempt.
 */
export async function findUpload(sql: Sql, holder: Holder, artifactId: string): Promise<Upload> {
  const [row] = await sql<(Upload & { found: boolean })[]>`
    SELECT f.id, f.path, f.size_bytes AS "sizeBytes", f.sha256, f.media_type AS "mediaType", f.object_key AS key,
      f.upload_id AS "uploadId", f.stored_at IS NOT NULL AS stored, f.id IS NOT NULL AS found
    FROM attempts a LEFT JOIN artifacts f ON f.attempt_id = a.id AND f.id = ${artifactId}
    WHERE a.lease_id = ${holder.leaseId} AND a.worker_id = ${holder.workerId} AND a.finished_at IS NULL`;
  if (!row) throw leaseLost(holder.leaseId);
  if (!row.found) throw notFound("upload", artifactId);
  return row;
}
