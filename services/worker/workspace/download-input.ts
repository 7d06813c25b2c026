import { createHash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { create } from "@bufbuild/protobuf";
import {
  FetchInputRequestSchema,
  type FetchInputResponse,
  type InputFile,
  WorkerService,
} from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import { tries } from "../../process/wait.ts";
import { BrokenStep } from "../executor/executor.ts";
import type { Hand } from "../hand.ts";
import { isFinal, readRefusal } from "../link/read-refusal.ts";
import type { InputParts } from "./fetch-inputs.ts";

const MAX_TRIES = 12;

/**
 * Writes one input to a file, going on after a break where it broke, and checks its size and digest. Throws
 * BrokenStep INPUT_MISSING or INPUT_CORRUPT.
 */
export async function downloadInput(parts: InputParts, hand: Hand, file: InputFile, to: string): Promise<void> {
  const target = await open(to, "w", 0o600);
  const hash = createHash("sha256");
  let offset = 0;
  const take = async (bytes: Uint8Array) => {
    hash.update(bytes);
    await writeAt(target, bytes, offset);
    offset += bytes.length;
  };
  try {
    for await (const tried of tries({ baseMs: 100, capMs: 5_000 }, hand.ending)) {
      try {
        for await (const bytes of file.url
          ? fromAddress(file, offset, hand.ending)
          : fromControlPlane(parts, hand, file, offset)) {
          await take(bytes);
        }
        if (offset >= Number(file.sizeBytes)) break;
      } catch (failure) {
        rethrowFinal(failure, file);
        if (tried + 1 >= MAX_TRIES)
          throw new BrokenStep("INPUT_MISSING", `${file.path} could not be fetched: ${failure}`);
      }
    }
    hand.ending.throwIfAborted();
  } finally {
    await target.close();
  }
  const right = offset === Number(file.sizeBytes) && hash.digest().equals(file.sha256);
  if (!right) throw new BrokenStep("INPUT_CORRUPT", `${file.path} is not what was kept: its size or digest differs`);
}

function rethrowFinal(failure: unknown, file: InputFile): void {
  if (failure instanceof BrokenStep || (failure as NodeJS.ErrnoException).code === "ENOSPC") throw failure;
  const refused = readRefusal(failure);
  if (typeof (failure as { code?: unknown }).code === "number" && isFinal(refused)) {
    throw new BrokenStep("INPUT_MISSING", `${file.path}: ${refused.message}`);
  }
}

async function writeAt(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let written = 0; written < bytes.length; ) {
    written += (await file.write(bytes, written, bytes.length - written, position + written)).bytesWritten;
  }
}

async function* fromAddress(file: InputFile, offset: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  if (offset >= Number(file.sizeBytes)) return;
  const headers: Record<string, string> = offset > 0 ? { range: `bytes=${offset}-` } : {};
  const answer = await fetch(file.url, { headers, signal });
  // An address is signed and not for others' eyes: it is in no message.
  if (!answer.ok || (offset > 0 && answer.status !== 206)) throw new Error(`the store answered ${answer.status}`);
  if (answer.body) yield* answer.body;
}

async function* fromControlPlane(
  { lines, lease }: InputParts,
  hand: Hand,
  file: InputFile,
  offset: number,
): AsyncGenerator<Uint8Array> {
  await lease.whenHeld(hand.ending);
  const request = create(FetchInputRequestSchema, {
    leaseId: hand.leaseId,
    artifactId: file.artifactId,
    offset: BigInt(offset),
  });
  const stream = lines.now.bytes.downstream(WorkerService.method.fetchInput, request);
  const cancel = () => stream.cancel();
  hand.ending.addEventListener("abort", cancel, { once: true });
  try {
    for await (const { data } of stream as AsyncIterable<FetchInputResponse>) yield data;
  } finally {
    hand.ending.removeEventListener("abort", cancel);
    stream.cancel();
  }
}
