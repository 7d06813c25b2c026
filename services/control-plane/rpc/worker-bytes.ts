import type { ServiceImpl } from "@connectrpc/connect";
import type { WorkerService } from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import { badField } from "../../process/refusal.ts";
import { beginUpload } from "../artifacts/begin-upload.ts";
import { commitUpload } from "../artifacts/commit-upload.ts";
import { fetchInput } from "../artifacts/fetch-input.ts";
import { listInputs } from "../artifacts/list-inputs.ts";
import { sendArtifact } from "../artifacts/send-artifact.ts";
import type { Core } from "../core.ts";
import { workerCallerOf } from "../edge/context.ts";
import { appendStream } from "../logs/append-stream.ts";

type BytesMethod = "appendLog" | "beginUpload" | "sendArtifact" | "commitUpload" | "listInputs" | "fetchInput";

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** The half of what workers may say that carries bytes: logs, artifacts, inputs. */
export function workerBytes(
  core: Pick<Core, "db" | "hints" | "blobs" | "metrics">,
): Pick<ServiceImpl<typeof WorkerService>, BytesMethod> {
  return {
    appendLog: (requests, context) => appendStream(core, workerCallerOf(context).workerId, requests),
    beginUpload: (request, context) => beginUpload(core, workerCallerOf(context).workerId, checked(request)),
    async sendArtifact(requests, context) {
      const stored = await sendArtifact(core, workerCallerOf(context).workerId, requests);
      return { storedBytes: BigInt(stored) };
    },
    async commitUpload(request, context) {
      await commitUpload(core, workerCallerOf(context).workerId, checked(request));
      return {};
    },
    listInputs: (request, context) => listInputs(core, workerCallerOf(context).workerId, checked(request)),
    fetchInput: (request, context) => fetchInput(core, workerCallerOf(context).workerId, checked(request)),
  };
}

function checked<T extends { leaseId: string }>(request: T): T {
  if (!UUID.test(request.leaseId)) throw badField("lease_id", "is no lease's id");
  return request;
}
