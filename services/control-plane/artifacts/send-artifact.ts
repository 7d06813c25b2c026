import type { SendArtifactRequest } from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import { badField, Refusal } from "../../process/refusal.ts";
import type { ArtifactDeps } from "./begin-upload.ts";
import { findUpload, type Upload } from "./find-upload.ts";

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/**
 * Takes an artifact's bytes where there is no store to PUT them to, and answers how many are there. The first request
 * must be the head. Errors: OUT_OF_RANGE (UPLOAD_GAP, with `expected_offset`); DATA_LOSS (DIGEST_MISMATCH) for more
 * bytes than were promised; FAILED_PRECONDITION (LEASE_LOST).
 */
export async function sendArtifact(
  { db, blobs }: ArtifactDeps,
  workerId: string,
  requests: AsyncIterable<SendArtifactRequest>,
): Promise<number> {
  const { growing } = blobs;
  if (!growing) throw new Refusal("failed_precondition", "SEND_ELSEWHERE", "PUT the bytes to the signed addresses");
  const reading = requests[Symbol.asyncIterator]();
  const first = await reading.next();
  const head = first.done ? undefined : first.value.message;
  if (head?.case !== "head") throw badField("head", "must come first");
  const { leaseId, artifactId, offset } = head.value;
  if (!UUID.test(leaseId)) throw badField("head.lease_id", "is no lease's id");
  const upload = await findUpload(db.sql, { leaseId, workerId }, artifactId);
  if (upload.stored) return upload.sizeBytes;
  const there = await growing.size(upload.key);
  if (Number(offset) > there) {
    throw new Refusal("out_of_range", "UPLOAD_GAP", `${there} bytes are there; go on from them`, {
      metadata: { artifact_id: artifactId, expected_offset: String(there) },
    });
  }
  return growing.append(upload.key, Number(offset), dataOf(reading, upload, Number(offset)));
}

async function* dataOf(reading: AsyncIterator<SendArtifactRequest>, upload: Upload, offset: number) {
  let at = offset;
  for (let next = await reading.next(); !next.done; next = await reading.next()) {
    const { message } = next.value;
    if (message.case !== "data") throw badField("head", "comes once, and first");
    at += message.value.length;
    if (at > upload.sizeBytes) {
      throw new Refusal("data_loss", "DIGEST_MISMATCH", `more than the ${upload.sizeBytes} bytes that were promised`);
    }
    yield message.value;
  }
}
