import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { ArtifactSchema } from "@ritmo/contract/ritmo/artifact/v1/artifact_pb.js";
import { prefixOfId } from "../../process/new-id.ts";
import { notFound } from "../../process/refusal.ts";
import { wrongKind } from "../names/refuse-name.ts";
import type { Sql } from "../store/open-database.ts";

/** An artifact whose object is stored. */
export interface ArtifactRow {
  id: string;
  buildId: string;
  attemptId: string;
  step: string;
  path: string;
  sizeBytes: number;
  sha256: Buffer;
  mode: number;
  mediaType: string;
  key: string;
  createdAt: Date;
}

/** The columns of an ArtifactRow, of `artifacts f` and `steps s`. */
export const artifactColumns = (sql: Sql) => sql`
  f.id, f.build_id AS "buildId", f.attempt_id AS "attemptId", s.key AS step, f.path, f.size_bytes AS "sizeBytes",
  f.sha256, f.mode, f.media_type AS "mediaType", f.object_key AS key, f.created_at AS "createdAt"`;

/**
 * Reads one artifact of an organization. Errors: INVALID_ARGUMENT (WRONG_KIND) for another kind's id; NOT_FOUND
 * (ARTIFACT_NOT_FOUND), also while it is not stored.
 */
export async function findArtifact(sql: Sql, orgId: string, id: string): Promise<ArtifactRow> {
  const prefix = prefixOfId(id);
  if (prefix !== undefined && prefix !== "art") throw wrongKind("id", "artifact", prefix, id);
  const [row] = await sql<ArtifactRow[]>`
    SELECT ${artifactColumns(sql)} FROM artifacts f JOIN steps s ON s.id = f.step_id
    WHERE f.id = ${id} AND f.org_id = ${orgId} AND f.stored_at IS NOT NULL`;
  if (!row) throw notFound("artifact", id);
  return row;
}

/** As the contract tells it. */
export function artifactMessage(row: ArtifactRow): MessageInitShape<typeof ArtifactSchema> {
  return {
    id: row.id,
    buildId: row.buildId,
    attemptId: row.attemptId,
    step: row.step,
    path: row.path,
    sizeBytes: BigInt(row.sizeBytes),
    sha256: row.sha256.toString("hex"),
    mode: row.mode,
    mediaType: row.mediaType,
    createdAt: timestampFromDate(row.createdAt),
  };
}
