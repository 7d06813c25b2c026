import { Worker } from "node:worker_threads";
import { create, fromBinary } from "@bufbuild/protobuf";
import {
  DiagnosticSchema,
  Severity,
  ValidatePipelineResponseSchema,
} from "@ritmo/contract/ritmo/pipeline/v1/pipeline_pb.js";
import { type ReadPipeline, readPipeline } from "./read-pipeline.ts";
import type { PipelineToRead } from "./read-pipeline-thread.ts";

// Below this a text is read in a few milliseconds, less than a thread takes to start.
const SMALL_CHARACTERS = 16 * 1024;
const WITHIN_MS = 10_000;
const HEAP_MIB = 512;

/**
 * Reads a pipeline without holding up this process: a large text in a thread of its own, with a clock and a bound on
 * its memory. A text that needs more is refused at its first line.
 */
export async function readPipelineApart(text: string, file?: string): Promise<ReadPipeline> {
  if (text.length <= SMALL_CHARACTERS) return readPipeline(text, file);
  const toRead: PipelineToRead = { text, file };
  const thread = new Worker(new URL("./read-pipeline-thread.ts", import.meta.url), {
    workerData: toRead,
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MIB },
  });
  const clock = setTimeout(() => void thread.terminate(), WITHIN_MS);
  try {
    const bytes = await new Promise<Uint8Array | undefined>((resolve, reject) => {
      thread.once("message", resolve);
      thread.once("error", (reason: NodeJS.ErrnoException) => {
        if (reason.code === "ERR_WORKER_OUT_OF_MEMORY") resolve(undefined);
        else reject(reason);
      });
      thread.once("exit", () => resolve(undefined));
    });
    if (!bytes) return tooMuch(file);
    const { diagnostics, pipeline, canonicalText } = fromBinary(ValidatePipelineResponseSchema, bytes);
    return { diagnostics, ...(pipeline && { pipeline }), ...(canonicalText !== "" && { canonicalText }) };
  } finally {
    clearTimeout(clock);
    void thread.terminate();
  }
}

function tooMuch(file = ".ritmo.yaml"): ReadPipeline {
  const diagnostic = create(DiagnosticSchema, {
    severity: Severity.ERROR,
    code: "too-complex",
    message: "the pipeline takes more time or memory to read than it may",
    fix: "split it, or repeat less",
    file,
    line: 1,
    column: 1,
    endLine: 1,
    endColumn: 1,
  });
  return { diagnostics: [diagnostic] };
}
