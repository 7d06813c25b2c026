import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { BeginUploadRequest, BeginUploadResponseSchema } from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import { newId } from "../../process/new-id.ts";
import { badField, leaseLost, Refusal } from "../../process/refusal.ts";
import { BlobMissing, type BlobPart, type BlobStore } from "../store/blobs.ts";
import type { Db, Sql } from "../store/open-database.ts";
import { ARTIFACT_LIMITS, ONE_PART_BYTES, PART_BYTES, UPLOAD_EXPIRY_SECONDS } from "./artifact-limits.ts";
import { checkPath } from "./check-path.ts";
import type { Holder, Upload } from "./find-upload.ts";

export interface ArtifactDeps {
  db: Pick<Db, "sql">;
  blobs: BlobStore;
}

type Answer = MessageInitShape<typeof BeginUploadResponseSchema>;
type Signed = NonNullable<BlobStore["signed"]>;

const MEDIA_TYPE = /^[\w!#$&^.+-]{1,100}\/[\w!#$&^.+-]{1,100}(; ?[\w-]{1,40}=[\w.-]{1,60})?$/;

/**
 * Promises a file of the attempt and says how to deliver it. Repeated for the same path and digest it goes on with the
 * same upload. Errors: INVALID_ARGUMENT (PATH_REFUSED, FIELD_INVALID); RESOURCE_EXHAUSTED (ARTIFACT_TOO_LARGE,
 * TOO_MANY_ARTIFACTS); FAILED_PRECONDITION (LEASE_LOST).
 */
export async function beginUpload(
  { db, blobs }: ArtifactDeps,
  workerId: string,
  request: BeginUploadRequest,
): Promise<Answer> {
  refuseMalformed(request);
  const holder = { leaseId: request.leaseId, workerId };
  const upload = await promise(db.sql, holder, request);
  const artifactId = upload.id;
  // A file without bytes needs none to be sent.
  if (upload.sizeBytes === 0 && !upload.stored) await blobs.put(upload.key, Buffer.alloc(0), 0);
  if (upload.stored || (await isThere(blobs, upload))) return { artifactId, how: { case: "alreadyThere", value: {} } };
  if (blobs.signed) {
    const signed = await signParts(db.sql, blobs.signed, upload);
    return { artifactId, how: { case: "signedParts", value: signed } };
  }
  const there = (await blobs.growing?.size(upload.key)) ?? 0;
  return { artifactId, how: { case: "sendHere", value: { offset: BigInt(there) } } };
}

function refuseMalformed(request: BeginUploadRequest): void {
  checkPath(request.path);
  if (request.sha256.length !== 32) throw badField("sha256", "is not 32 bytes");
  if (request.mode > 0o7777) throw badField("mode", "has more than permission bits");
  if (!MEDIA_TYPE.test(request.mediaType || "a/b")) throw badField("media_type", "is no media type");
  const { maxArtifactBytes } = ARTIFACT_LIMITS;
  if (request.sizeBytes > BigInt(maxArtifactBytes)) {
    throw new Refusal(
      "resource_exhausted",
      "ARTIFACT_TOO_LARGE",
      `${request.path} has ${request.sizeBytes} bytes; an artifact has at most ${maxArtifactBytes}`,
      { metadata: { limit: String(maxArtifactBytes) } },
    );
  }
}

async function promise(sql: Sql, holder: Holder, request: BeginUploadRequest): Promise<Upload> {
  const id = newId("art");
  const sha256 = Buffer.from(request.sha256);
  const [row] = await sql<(Upload & { attempt: string; full: boolean })[]>`
    WITH held AS (
      SELECT id, org_id, build_id, step_id, lease_id,
        (SELECT count(*) FROM artifacts f WHERE f.attempt_id = attempts.id AND f.path <> ${request.path})
          >= ${ARTIFACT_LIMITS.maxArtifacts} AS "full"
      FROM attempts
      WHERE lease_id = ${holder.leaseId} AND worker_id = ${holder.workerId} AND finished_at IS NULL
      FOR NO KEY UPDATE
    ), kept AS (
      INSERT INTO artifacts
        (id, org_id, build_id, step_id, attempt_id, path, size_bytes, sha256, mode, media_type, object_key)
      SELECT ${id}, org_id, build_id, step_id, id, ${request.path}, ${Number(request.sizeBytes)}, ${sha256},
        ${request.mode & 0o777}, ${request.mediaType || "application/octet-stream"},
        'o/' || org_id || '/b/' || build_id || '/l/' || lease_id || '/a/' || ${`${sha256.toString("hex")}-${id}`}
      FROM held WHERE NOT "full"
      ON CONFLICT (attempt_id, path) DO UPDATE SET mode = excluded.mode, media_type = excluded.media_type,
        size_bytes = excluded.size_bytes, sha256 = excluded.sha256,
        object_key = CASE WHEN artifacts.sha256 = excluded.sha256 THEN artifacts.object_key ELSE excluded.object_key END,
        upload_id = CASE WHEN artifacts.sha256 = excluded.sha256 THEN artifacts.upload_id END
        WHERE artifacts.stored_at IS NULL OR artifacts.sha256 = excluded.sha256
      RETURNING id, path, size_bytes, sha256, media_type, object_key, upload_id, stored_at
    )
    SELECT held.id AS attempt, held."full", k.id, k.path, k.size_bytes AS "sizeBytes", k.sha256,
      k.media_type AS "mediaType", k.object_key AS key, k.upload_id AS "uploadId", k.stored_at IS NOT NULL AS stored
    FROM held LEFT JOIN kept k ON true`;
  if (!row) throw leaseLost(holder.leaseId);
  if (row.full) {
    const { maxArtifacts } = ARTIFACT_LIMITS;
    throw new Refusal("resource_exhausted", "TOO_MANY_ARTIFACTS", `an attempt keeps at most ${maxArtifacts} files`, {
      metadata: { limit: String(maxArtifacts) },
    });
  }
  if (row.id === null) throw badField("path", `${request.path} was kept before with other bytes`, "PATH_REFUSED");
  return row;
}

async function isThere(blobs: BlobStore, upload: Upload): Promise<boolean> {
  return (await blobs.head(upload.key))?.sizeBytes === upload.sizeBytes;
}

/** Every address is one of a part, also where there is only one: it ends with the upload, and can't change an object. */
async function signParts(sql: Sql, signed: Signed, upload: Upload) {
  const expiresAt = timestampFromMs(Date.now() + UPLOAD_EXPIRY_SECONDS * 1000);
  const { uploadId, stored } = await goOnWithParts(sql, signed, upload);
  const there = new Map(stored.map((part) => [part.number, part]));
  const partBytes = upload.sizeBytes <= ONE_PART_BYTES ? upload.sizeBytes : PART_BYTES;
  const parts = await Promise.all(
    Array.from({ length: Math.ceil(upload.sizeBytes / partBytes) }, async (_, i) => {
      const number = i + 1;
      const part = there.get(number);
      const wanted = Math.min(partBytes, upload.sizeBytes - i * partBytes);
      const url = await signed.putPart(upload.key, uploadId, number, UPLOAD_EXPIRY_SECONDS);
      return { number, url, etag: part?.sizeBytes === wanted ? part.etag : "" };
    }),
  );
  return { partBytes: BigInt(partBytes), parts, expiresAt };
}

/** The upload that was begun, or a new one where the store has forgotten it. */
async function goOnWithParts(
  sql: Sql,
  signed: Signed,
  upload: Upload,
): Promise<{ uploadId: string; stored: BlobPart[] }> {
  if (upload.uploadId !== null) {
    try {
      return { uploadId: upload.uploadId, stored: await signed.listParts(upload.key, upload.uploadId) };
    } catch (reason) {
      if (!(reason instanceof BlobMissing)) throw reason;
      await sql`UPDATE artifacts SET upload_id = NULL WHERE id = ${upload.id} AND upload_id = ${upload.uploadId}`;
    }
  }
  const uploadId = await openParts(sql, signed, upload);
  return { uploadId, stored: [] };
}

/** Of two that begin at once, one wins; the other's upload is dropped. */
async function openParts(sql: Sql, signed: Signed, upload: Upload): Promise<string> {
  const mine = await signed.beginParts(upload.key, upload.mediaType);
  const [row] = await sql<{ uploadId: string }[]>`
    UPDATE artifacts SET upload_id = coalesce(upload_id, ${mine}) WHERE id = ${upload.id} AND stored_at IS NULL
    RETURNING upload_id AS "uploadId"`;
  if (row?.uploadId === mine) return mine;
  await signed.abortParts(upload.key, mine);
  if (!row) throw new Refusal("aborted", "UPLOAD_CONTENDED", `another call ended the upload of ${upload.path}`);
  return row.uploadId;
}
