import { createHash } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { ListArtifactsRequestSchema } from "@ritmo/contract/ritmo/artifact/v1/artifact_pb.js";
import {
  BeginUploadRequestSchema,
  CommitUploadRequestSchema,
  type SendArtifactRequest,
  SendArtifactRequestSchema,
} from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import { findArtifact } from "../control-plane/artifacts/artifact-row.ts";
import { beginUpload } from "../control-plane/artifacts/begin-upload.ts";
import { commitUpload } from "../control-plane/artifacts/commit-upload.ts";
import { listArtifacts } from "../control-plane/artifacts/list-artifacts.ts";
import { readObject } from "../control-plane/artifacts/read-object.ts";
import { sendArtifact } from "../control-plane/artifacts/send-artifact.ts";
import type { ByteFixture } from "./byte-fixture.ts";
import type { PlantedAttempt } from "./plant-log.ts";

/** SHA-256, as artifacts are known by. */
export const sha256 = (bytes: Buffer | string) => createHash("sha256").update(bytes).digest();
/** How a verb refuses whoever does not hold the attempt. */
export const LOST = { code: "failed_precondition", reason: "LEASE_LOST" };

/** The head of an upload. */
export const head = (at: PlantedAttempt, artifactId: string, offset: number): SendArtifactRequest =>
  create(SendArtifactRequestSchema, {
    message: { case: "head", value: { leaseId: at.leaseId, artifactId, offset: BigInt(offset) } },
  });

/** What a worker streams: the head, then bytes, or the end of the line. */
export async function* requests(first: SendArtifactRequest, ...parts: (Buffer | Error)[]) {
  yield first;
  for (const part of parts) {
    if (part instanceof Error) throw part;
    yield create(SendArtifactRequestSchema, { message: { case: "data", value: part } });
  }
}

/** What workers and people do with artifacts, through the verbs of a fixture that is opened later. */
export function artifactTools(core: () => Pick<ByteFixture, "db" | "blobs" | "metrics">) {
  const begin = (at: PlantedAttempt, path: string, bytes: Buffer, more: { sha256?: Buffer; sizeBytes?: bigint } = {}) =>
    beginUpload(
      core(),
      at.workerId,
      create(BeginUploadRequestSchema, {
        leaseId: at.leaseId,
        path,
        sizeBytes: BigInt(bytes.length),
        sha256: sha256(bytes),
        mode: 0o644,
        mediaType: "text/plain",
        ...more,
      }),
    );

  const commit = (at: PlantedAttempt, artifactId: string) =>
    commitUpload(core(), at.workerId, create(CommitUploadRequestSchema, { leaseId: at.leaseId, artifactId }));

  /** Uploads a file as a worker does; answers its id. */
  async function upload(at: PlantedAttempt, path: string, bytes: Buffer | string): Promise<string> {
    const body = Buffer.from(bytes as Buffer);
    const { artifactId, how } = await begin(at, path, body);
    if (how?.case === "sendHere")
      await sendArtifact(core(), at.workerId, requests(head(at, artifactId as string, 0), body));
    await commit(at, artifactId as string);
    return artifactId as string;
  }

  const list = async (
    build: string,
    more: { step?: string; attemptId?: string; paths?: string[] } = {},
    size = 200,
  ) => {
    const request = create(ListArtifactsRequestSchema, { build, ...more });
    return listArtifacts(core().db.sql, "org_default", request, { size, after: undefined });
  };
  const paths = async (...args: Parameters<typeof list>) => (await list(...args)).rows.map((row) => row.path);

  async function download(id: string, range = { offset: 0, length: 0 }): Promise<Buffer> {
    const artifact = await findArtifact(core().db.sql, "org_default", id);
    const parts = await Array.fromAsync(readObject(core().blobs, artifact, range));
    return Buffer.concat(parts.map((part) => part.data));
  }

  return { begin, commit, upload, list, paths, download };
}
