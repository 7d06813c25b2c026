import { createHash, randomUUID } from "node:crypto";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { BeginUploadRequest, BeginUploadResponseSchema } from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import type { FakeAttempt, FakeUpload } from "./fake-attempt.ts";
import { type Handlers, refusal } from "./serve-peer.ts";
import type { Switches } from "./switches.ts";

type BytesCalls = Pick<Handlers, "beginUpload" | "sendArtifact" | "commitUpload" | "listInputs" | "fetchInput">;

/** The calls of the fake control plane that carry artifacts and inputs. */
export function fakeBytes(switches: Switches, held: (leaseId: string) => FakeAttempt): BytesCalls {
  return {
    beginUpload(request) {
      if (switches.refuseUploads) throw refusal(switches.refuseUploads.code, switches.refuseUploads.reason);
      const upload = promiseOf(held(request.leaseId), request);
      return { artifactId: upload.id, how: howTo(switches, upload) } as MessageInitShape<
        typeof BeginUploadResponseSchema
      >;
    },
    sendArtifact(call) {
      let upload: FakeUpload | undefined;
      let taken = 0;
      call.on("data", ({ message }) => {
        if (message.case === "head") {
          upload = uploadOf(held(message.value.leaseId), message.value.artifactId);
          upload.sends++;
          upload.bytes = upload.bytes.subarray(0, Number(message.value.offset));
          return;
        }
        if (!upload) return;
        upload.bytes = Buffer.concat([upload.bytes, message.value]);
        taken += message.value.length;
        if (taken >= (switches.breakSendAfterBytes ?? Number.POSITIVE_INFINITY)) call.break();
      });
      call.on("end", () => call.answer({ storedBytes: BigInt(upload?.bytes.length ?? 0) }));
    },
    commitUpload({ leaseId, artifactId, parts }) {
      const upload = uploadOf(held(leaseId), artifactId);
      upload.parts = parts.map(({ number, etag }) => [number, etag]);
      const digest = createHash("sha256").update(upload.bytes).digest();
      if (!switches.signedParts && !digest.equals(upload.request.sha256)) throw refusal(15, "DIGEST_MISMATCH");
      upload.committed = true;
      return {};
    },
    listInputs({ leaseId }) {
      held(leaseId);
      return { files: switches.inputs.map(({ bytes: _bytes, ...file }) => file) };
    },
    *fetchInput({ leaseId, artifactId, offset }) {
      held(leaseId);
      const input = switches.inputs.find((one) => one.artifactId === artifactId);
      if (!input || switches.missingInputs) throw refusal(5, "INPUT_NOT_FOUND");
      const rest = input.bytes.subarray(Number(offset));
      yield { data: rest.subarray(0, switches.fetchPieceBytes ?? rest.length) };
      if (rest.length > (switches.fetchPieceBytes ?? rest.length)) throw refusal(14, "");
    },
  };
}

function promiseOf(attempt: FakeAttempt, request: BeginUploadRequest): FakeUpload {
  const known = attempt.uploads.get(request.path);
  if (known && Buffer.from(known.request.sha256).equals(request.sha256)) return known;
  const upload = { id: `art_${randomUUID()}`, request, bytes: Buffer.alloc(0), sends: 0, parts: [], committed: false };
  attempt.uploads.set(request.path, upload);
  return upload;
}

function howTo({ signedParts }: Switches, upload: FakeUpload) {
  if (upload.committed) return { case: "alreadyThere", value: {} };
  if (!signedParts) return { case: "sendHere", value: { offset: BigInt(upload.bytes.length) } };
  const { partBytes, url, there } = signedParts;
  const count = Math.ceil(Number(upload.request.sizeBytes) / partBytes);
  const parts = Array.from({ length: count }, (_, i) => ({
    number: i + 1,
    url: `${url}/${i + 1}`,
    etag: there[i + 1] ?? "",
  }));
  return { case: "signedParts", value: { partBytes: BigInt(partBytes), parts } };
}

function uploadOf(attempt: FakeAttempt, artifactId: string): FakeUpload {
  const upload = [...attempt.uploads.values()].find(({ id }) => id === artifactId);
  if (!upload) throw refusal(5, "UPLOAD_MISSING");
  return upload;
}
