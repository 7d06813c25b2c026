import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import {
  BeginUploadRequestSchema,
  CommitUploadRequestSchema,
  type PartEtag,
  WorkerService,
} from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import { sleep } from "../../process/wait.ts";
import { BrokenStep } from "../executor/executor.ts";
import { type Asking, ask, CallRefused } from "../link/ask.ts";
import { isFinal, readRefusal } from "../link/read-refusal.ts";
import { digestFile, type FileFacts } from "./digest-file.ts";
import { mediaTypeOf } from "./media-type.ts";
import { PutFailed, putParts } from "./put-parts.ts";
import { sendArtifact } from "./send-artifact.ts";

export interface UploadPlace {
  leaseId: string;
  workspace: string;
}

// Where the store is away for a moment an upload comes back to it; a store that refuses is not asked for ever.
const MAX_ROUNDS = 8;

/**
 * Delivers one file of the workspace and makes it an artifact. Answers its facts. Throws BrokenStep when it can't be
 * delivered, or CallRefused for what the control plane says about the attempt.
 */
export async function uploadArtifact(asking: Asking, place: UploadPlace, path: string): Promise<FileFacts> {
  let failure = "";
  for (let round = 0; round < MAX_ROUNDS; round++) {
    // Full jitter; the first round waits for nothing.
    if (round > 0) await sleep(Math.random() * Math.min(10_000, 250 * 2 ** round), asking.signal);
    asking.signal.throwIfAborted();
    try {
      return await uploadOnce(asking, place, path);
    } catch (reason) {
      if (!mayGoAgain(reason)) throw explain(reason, path);
      failure = (reason as Error).message;
    }
  }
  throw new BrokenStep("ARTIFACT_NOT_DELIVERED", `${path} could not be delivered: ${failure}`);
}

async function uploadOnce(asking: Asking, { leaseId, workspace }: UploadPlace, path: string): Promise<FileFacts> {
  const file = join(workspace, path);
  const facts = await digestFile(file);
  const { artifactId, how } = await ask(
    asking,
    WorkerService.method.beginUpload,
    create(BeginUploadRequestSchema, {
      leaseId,
      path,
      sizeBytes: BigInt(facts.sizeBytes),
      sha256: facts.sha256,
      mode: facts.mode,
      mediaType: mediaTypeOf(path),
    }),
  );
  let parts: PartEtag[] = [];
  if (how.case === "signedParts") parts = await putParts(file, how.value, asking.signal);
  if (how.case === "sendHere") {
    const offset = Number(how.value.offset);
    await asking.lease.whenHeld(asking.signal);
    await sendArtifact(asking.lines, { leaseId, artifactId, path: file, offset }, asking.signal);
  }
  await ask(
    asking,
    WorkerService.method.commitUpload,
    create(CommitUploadRequestSchema, { leaseId, artifactId, parts }),
  );
  return facts;
}

const AGAIN = new Set(["UPLOAD_MISSING", "DIGEST_MISMATCH", "UPLOAD_GAP"]);

function mayGoAgain(reason: unknown): boolean {
  if (reason instanceof PutFailed) return true;
  if (reason instanceof CallRefused) return AGAIN.has(reason.refused.reason);
  if (typeof (reason as { code?: unknown }).code !== "number") return false;
  const refused = readRefusal(reason);
  return AGAIN.has(refused.reason) || !isFinal(refused);
}

function explain(reason: unknown, path: string): unknown {
  const { code } = reason as NodeJS.ErrnoException;
  if (code === "ENOENT" || code === "ELOOP") return new BrokenStep("ARTIFACT_CHANGED", `${path} went away`);
  if (!(reason instanceof CallRefused) || reason.refused.reason === "LEASE_LOST") return reason;
  return new BrokenStep(reason.refused.reason || "ARTIFACT_REFUSED", reason.refused.message, { authorFault: true });
}
