import { chmod } from "node:fs/promises";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { type InputFile, ListInputsRequestSchema, WorkerService } from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import { eachAtOnce } from "../each-at-once.ts";
import { BrokenStep } from "../executor/executor.ts";
import type { Hand } from "../hand.ts";
import { ask, CallRefused } from "../link/ask.ts";
import type { LeaseClock } from "../link/lease-clock.ts";
import type { LineKeeper } from "../link/open-lines.ts";
import { downloadInput } from "./download-input.ts";
import { PathRefused, placeFile } from "./place-file.ts";

export interface InputParts {
  lines: LineKeeper;
  lease: LeaseClock;
}

export interface InputPlaces {
  workspace: string;
  tmp: string;
  tell(line: string): void;
}

const AT_ONCE = 4;

/** Brings every input of the attempt into the workspace, with its mode and its digest. Throws BrokenStep. */
export async function fetchInputs(parts: InputParts, hand: Hand, { workspace, tmp, tell }: InputPlaces): Promise<void> {
  const startedAtMs = performance.now();
  const files = await listInputs(parts, hand);
  await eachAtOnce(files, AT_ONCE, async (file) => {
    const kept = join(tmp, `input-${file.artifactId.replace(/\W/g, "_")}`);
    await downloadInput(parts, hand, file, kept);
    try {
      await chmod(kept, (file.mode & 0o777) | 0o600);
      await placeFile(kept, workspace, file.path);
    } catch (reason) {
      if (reason instanceof PathRefused) throw new BrokenStep("INPUT_REFUSED", reason.message, { authorFault: true });
      throw reason;
    }
  });
  const bytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0n);
  tell(`brought in ${files.length} files, ${bytes} bytes, in ${Math.round(performance.now() - startedAtMs)} ms`);
}

async function listInputs(parts: InputParts, hand: Hand): Promise<InputFile[]> {
  const files: InputFile[] = [];
  let pageToken = "";
  do {
    const request = create(ListInputsRequestSchema, { leaseId: hand.leaseId, pageToken });
    const page = await ask({ ...parts, signal: hand.ending }, WorkerService.method.listInputs, request).catch(asBroken);
    files.push(...page.files);
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return files;
}

function asBroken(failure: unknown): never {
  if (failure instanceof CallRefused) throw new BrokenStep("INPUT_MISSING", failure.message);
  throw failure;
}
