import { createReadStream } from "node:fs";
import { create } from "@bufbuild/protobuf";
import {
  type SendArtifactRequest,
  SendArtifactRequestSchema,
  type SendArtifactResponse,
  WorkerService,
} from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import type { LineKeeper } from "../link/open-lines.ts";

// Half of what a message may have; each costs the other end a few trips between threads.
const PIECE_BYTES = 512 * 1024;

/** Sends a file's bytes from an offset on and answers how many are there. Throws grpc-js's ServiceError. */
export async function sendArtifact(
  lines: LineKeeper,
  upload: { leaseId: string; artifactId: string; path: string; offset: number },
  signal: AbortSignal,
): Promise<number> {
  const { leaseId, artifactId, path, offset } = upload;
  const answer = Promise.withResolvers<number>();
  const stream = lines.now.bytes.upstream(
    WorkerService.method.sendArtifact,
    (reason, response?: SendArtifactResponse) => {
      if (reason || !response) answer.reject(reason);
      else answer.resolve(Number(response.storedBytes));
    },
  );
  // An answer that comes early ends the writing as well: it says that more is not wanted.
  let answered = false;
  const settled = answer.promise.then(
    () => {
      answered = true;
    },
    () => {
      answered = true;
    },
  );
  const cancel = () => stream.cancel();
  signal.addEventListener("abort", cancel, { once: true });
  const write = (message: SendArtifactRequest["message"]): Promise<unknown> | undefined => {
    if (stream.write(create(SendArtifactRequestSchema, { message }))) return undefined;
    return Promise.race([new Promise((resolve) => stream.once("drain", resolve)), settled]);
  };
  try {
    await write({ case: "head", value: { leaseId, artifactId, offset: BigInt(offset) } as never });
    for await (const data of createReadStream(path, { start: offset, highWaterMark: PIECE_BYTES })) {
      if (answered) break;
      await write({ case: "data", value: data as Buffer });
    }
    if (!answered) stream.end();
    return await answer.promise;
  } catch (reason) {
    stream.cancel();
    throw reason;
  } finally {
    signal.removeEventListener("abort", cancel);
  }
}
