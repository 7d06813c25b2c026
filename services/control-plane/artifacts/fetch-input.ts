import type { FetchInputRequest } from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import { notFound } from "../../process/refusal.ts";
import type { ArtifactDeps } from "./begin-upload.ts";
import { findInputs } from "./list-inputs.ts";
import { readObject } from "./read-object.ts";

/**
 * Yields the bytes of one input from an offset on. Errors: NOT_FOUND (INPUT_NOT_FOUND) when the artifact is no input of
 * the attempt; OUT_OF_RANGE past its end; FAILED_PRECONDITION (LEASE_LOST).
 */
export async function* fetchInput(
  { db, blobs }: ArtifactDeps,
  workerId: string,
  { leaseId, artifactId, offset }: FetchInputRequest,
): AsyncGenerator<{ data: Uint8Array }> {
  const inputs = await findInputs(db.sql, { leaseId, workerId });
  const input = inputs.find((one) => one.artifactId === artifactId);
  if (!input) throw notFound("input", artifactId);
  for await (const { data } of readObject(blobs, input, { offset: Number(offset), length: 0 })) yield { data };
}
