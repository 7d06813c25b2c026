import { openAsBlob } from "node:fs";
import { create } from "@bufbuild/protobuf";
import {
  type PartEtag,
  PartEtagSchema,
  type SignedPart,
  type SignedParts,
} from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import { tries } from "../../process/wait.ts";
import { eachAtOnce } from "../each-at-once.ts";

const PARTS_AT_ONCE = 4;
const MAX_TRIES = 5;

/** The store refused a part for a reason that asking for new addresses may mend, such as one that has expired. */
export class PutFailed extends Error {
  override readonly name = "PutFailed";
}

/** PUTs the parts that are not there yet and answers the tags of all. Throws PutFailed; never names an address. */
export async function putParts(path: string, signed: SignedParts, signal: AbortSignal): Promise<PartEtag[]> {
  const blob = await openAsBlob(path);
  const partBytes = Number(signed.partBytes) || blob.size;
  const etags: PartEtag[] = [];
  await eachAtOnce(signed.parts, PARTS_AT_ONCE, async (part) => {
    const from = Math.max(0, part.number - 1) * partBytes;
    const body = part.number === 0 ? blob : blob.slice(from, from + partBytes);
    const etag = part.etag || (await putPart(part, body, signal));
    etags.push(create(PartEtagSchema, { number: part.number, etag }));
  });
  return etags.sort((a, b) => a.number - b.number);
}

async function putPart(part: SignedPart, body: Blob, signal: AbortSignal): Promise<string> {
  let failure = "the upload was ended";
  for await (const tried of tries({ baseMs: 200, capMs: 5_000 }, signal)) {
    if (tried >= MAX_TRIES) break;
    try {
      const answer = await fetch(part.url, { method: "PUT", body, signal });
      await answer.arrayBuffer();
      if (answer.ok) return answer.headers.get("etag") ?? "";
      failure = `the store answered ${answer.status}`;
      if (answer.status >= 400 && answer.status < 500 && answer.status !== 408 && answer.status !== 429) break;
    } catch (reason) {
      failure = `the store could not be reached: ${(reason as { cause?: { code?: string } }).cause?.code ?? "no answer"}`;
    }
  }
  signal.throwIfAborted();
  throw new PutFailed(failure);
}
