import { posix } from "node:path";
import { fromBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { type Input, StepSchema } from "@ritmo/contract/ritmo/pipeline/v1/pipeline_pb.js";
import type { ListInputsRequest, ListInputsResponseSchema } from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import { badField, leaseLost, Refusal } from "../../process/refusal.ts";
import type { Sql } from "../store/open-database.ts";
import { DOWNLOAD_EXPIRY_SECONDS } from "./artifact-limits.ts";
import type { ArtifactDeps } from "./begin-upload.ts";
import { checkPath } from "./check-path.ts";
import type { Holder } from "./find-upload.ts";

/** One file that an attempt may bring in. */
export interface InputArtifact {
  artifactId: string;
  /** Where it goes. */
  target: string;
  step: string;
  path: string;
  sizeBytes: number;
  sha256: Buffer;
  mode: number;
  mediaType: string;
  key: string;
}

const PAGE_SIZE = 500;

/**
 * Answers a page of the artifacts that an attempt brings into its workspace. Errors: FAILED_PRECONDITION (LEASE_LOST;
 * INPUTS_COLLIDE, when two of them would be the same file: the author's doing); INVALID_ARGUMENT (PAGE_TOKEN_INVALID).
 */
export async function listInputs(
  { db, blobs }: ArtifactDeps,
  workerId: string,
  request: ListInputsRequest,
): Promise<MessageInitShape<typeof ListInputsResponseSchema>> {
  const from = request.pageToken === "" ? 0 : Number(request.pageToken);
  if (!Number.isSafeInteger(from) || from < 0) throw badField("page_token", "is none of ours", "PAGE_TOKEN_INVALID");
  const all = await findInputs(db.sql, { leaseId: request.leaseId, workerId });
  if (from === 0) refuseCollisions(all);
  const files = await Promise.all(
    all.slice(from, from + PAGE_SIZE).map(async (input) => ({
      artifactId: input.artifactId,
      path: input.target,
      sizeBytes: BigInt(input.sizeBytes),
      sha256: input.sha256,
      mode: input.mode,
      url: blobs.signed
        ? await blobs.signed.get(input.key, DOWNLOAD_EXPIRY_SECONDS * 4, posix.basename(input.path), input.mediaType)
        : "",
    })),
  );
  const next = from + PAGE_SIZE;
  return { files, nextPageToken: next < all.length ? String(next) : "" };
}

/** All inputs of the attempt that the holder has, in the order the step names them. Errors: LEASE_LOST. */
export async function findInputs(sql: Sql, holder: Holder): Promise<InputArtifact[]> {
  const [row] = await sql<{ buildId: string; spec: Buffer }[]>`
    SELECT s.build_id AS "buildId", s.spec FROM attempts a JOIN steps s ON s.id = a.step_id
    WHERE a.lease_id = ${holder.leaseId} AND a.worker_id = ${holder.workerId} AND a.finished_at IS NULL`;
  if (!row) throw leaseLost(holder.leaseId);
  const { inputs } = fromBinary(StepSchema, row.spec);
  const found: InputArtifact[] = [];
  for (const input of inputs) found.push(...(await artifactsOf(sql, row.buildId, input)));
  // The same step named twice brings each file once.
  return [...new Map(found.map((file) => [`${file.artifactId} ${file.target}`, file])).values()];
}

async function artifactsOf(sql: Sql, buildId: string, input: Input): Promise<InputArtifact[]> {
  const rows = await sql<Omit<InputArtifact, "target">[]>`
    SELECT f.id AS "artifactId", ${input.artifacts} AS step, f.path, f.size_bytes AS "sizeBytes", f.sha256, f.mode,
      f.media_type AS "mediaType", f.object_key AS key
    FROM artifacts f WHERE f.stored_at IS NOT NULL AND f.attempt_id = (
      SELECT a.id FROM attempts a JOIN steps s ON s.id = a.step_id
      WHERE s.build_id = ${buildId} AND s.key = ${input.artifacts}
      ORDER BY a.state = 'success' DESC, a.number DESC LIMIT 1)
    ORDER BY f.path`;
  return rows.map((row) => ({ ...row, target: checkPath(input.to ? posix.join(input.to, row.path) : row.path) }));
}

function refuseCollisions(inputs: InputArtifact[]): void {
  const files = new Map<string, InputArtifact>();
  for (const input of inputs) {
    const other = files.get(input.target);
    if (other) throw collision(other, input, input.target);
    files.set(input.target, input);
  }
  for (const input of inputs) {
    for (let at = input.target.indexOf("/"); at >= 0; at = input.target.indexOf("/", at + 1)) {
      const other = files.get(input.target.slice(0, at));
      if (other) throw collision(other, input, other.target);
    }
  }
}

function collision(one: InputArtifact, other: InputArtifact, target: string): Refusal {
  return new Refusal(
    "failed_precondition",
    "INPUTS_COLLIDE",
    `the inputs collide at ${target}: ${one.path} of ${one.step} and ${other.path} of ${other.step}; give one of them another folder with \`to:\``,
    { metadata: { path: target, steps: `${one.step},${other.step}` } },
  );
}
