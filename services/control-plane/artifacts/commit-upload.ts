import type { CommitUploadRequest } from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import { leaseLost, Refusal } from "../../process/refusal.ts";
import { BlobMissing, type BlobStore, PartsRefused } from "../store/blobs.ts";
import type { ArtifactDeps } from "./begin-upload.ts";
import { digestObject } from "./digest-object.ts";
import { findUpload, type Holder, type Upload } from "./find-upload.ts";

/**
 * Makes an upload part of the build, once the stored object was read and has the promised size and digest. Repeating
 * it answers the same. Errors: NOT_FOUND (UPLOAD_MISSING); DATA_LOSS (DIGEST_MISMATCH), the object is gone then; both
 * ask to upload again. FAILED_PRECONDITION (LEASE_LOST).
 */
export async function commitUpload(
  { db, blobs, metrics }: ArtifactDeps & { metrics: { artifactBytes: { inc(by: number): void } } },
  workerId: string,
  request: CommitUploadRequest,
): Promise<void> {
  const holder = { leaseId: request.leaseId, workerId };
  const upload = await findUpload(db.sql, holder, request.artifactId);
  if (upload.stored) return;
  try {
    await assemble(blobs, upload);
  } catch (reason) {
    if (!(reason instanceof PartsRefused || reason instanceof BlobMissing || reason instanceof TooMuch)) throw reason;
    await dropParts({ db, blobs }, upload);
    if (reason instanceof TooMuch) throw mismatch(upload, reason.sizeBytes);
    throw missing(upload, "the store does not have these parts");
  }
  await verify({ db, blobs }, upload);
  await publish({ db, blobs }, holder, upload);
  metrics.artifactBytes.inc(upload.sizeBytes);
}

/**
 * Turns what was sent into an object; harmless where that was done before. Which parts there are is the store's own
 * word, not what a worker read from the answers to its PUTs.
 */
async function assemble(blobs: BlobStore, upload: Upload): Promise<void> {
  if (await blobs.head(upload.key)) return;
  if (blobs.growing) {
    const there = await blobs.growing.size(upload.key);
    if (there < upload.sizeBytes) throw missing(upload, `${there} of ${upload.sizeBytes} bytes are there`);
    await blobs.growing.finish(upload.key);
  } else if (blobs.signed && upload.uploadId !== null) {
    const parts = await blobs.signed.listParts(upload.key, upload.uploadId);
    const there = parts.reduce((sum, part) => sum + part.sizeBytes, 0);
    if (there < upload.sizeBytes) throw missing(upload, `${there} of ${upload.sizeBytes} bytes are there`);
    if (there > upload.sizeBytes) throw new TooMuch(there);
    await blobs.signed.completeParts(upload.key, upload.uploadId, parts);
  }
}

async function dropParts({ db, blobs }: ArtifactDeps, upload: Upload): Promise<void> {
  if (upload.uploadId !== null) await blobs.signed?.abortParts(upload.key, upload.uploadId);
  await db.sql`UPDATE artifacts SET upload_id = NULL WHERE id = ${upload.id} AND stored_at IS NULL`;
}

async function verify({ db, blobs }: ArtifactDeps, upload: Upload): Promise<void> {
  const found = await blobs.head(upload.key);
  if (!found) throw missing(upload, "nothing was put there");
  const digest = found.sizeBytes === upload.sizeBytes ? await digestOf(blobs, upload) : undefined;
  if (digest?.equals(upload.sha256)) return;
  await blobs.delete(upload.key);
  await blobs.growing?.drop(upload.key);
  // What was assembled is gone as an upload too.
  await db.sql`UPDATE artifacts SET upload_id = NULL WHERE id = ${upload.id} AND stored_at IS NULL`;
  throw mismatch(upload, found.sizeBytes);
}

/** More bytes than were promised: nothing is made of them. */
class TooMuch extends Error {
  readonly sizeBytes: number;
  constructor(sizeBytes: number) {
    super(`${sizeBytes} bytes are there`);
    this.sizeBytes = sizeBytes;
  }
}

function mismatch(upload: Upload, sizeBytes: number): Refusal {
  return new Refusal("data_loss", "DIGEST_MISMATCH", `what was put there is not the ${upload.path} that was promised`, {
    metadata: { artifact_id: upload.id, size_bytes: String(sizeBytes) },
  });
}

async function digestOf(blobs: BlobStore, upload: Upload): Promise<Buffer> {
  try {
    return await digestObject(blobs, upload.key);
  } catch (reason) {
    throw reason instanceof BlobMissing ? missing(upload, "it went away while it was read") : reason;
  }
}

async function publish({ db }: ArtifactDeps, holder: Holder, upload: Upload): Promise<void> {
  const [row] = await db.sql<{ id: string }[]>`
    WITH held AS (
      SELECT id FROM attempts
      WHERE lease_id = ${holder.leaseId} AND worker_id = ${holder.workerId} AND finished_at IS NULL
      FOR NO KEY UPDATE
    )
    UPDATE artifacts f SET stored_at = coalesce(f.stored_at, clock_timestamp()), upload_id = NULL FROM held
    WHERE f.id = ${upload.id} AND f.attempt_id = held.id AND f.object_key = ${upload.key}
    RETURNING f.id`;
  if (!row) throw leaseLost(holder.leaseId);
}

function missing(upload: Upload, what: string): Refusal {
  return new Refusal("not_found", "UPLOAD_MISSING", `${upload.path} was not uploaded: ${what}`, {
    metadata: { artifact_id: upload.id },
  });
}
