import { parentPort, workerData } from "node:worker_threads";
import { create, toBinary } from "@bufbuild/protobuf";
import { ValidatePipelineResponseSchema } from "@ritmo/contract/ritmo/pipeline/v1/pipeline_pb.js";
import { readPipeline } from "./read-pipeline.ts";

/** What a thread is given to read. */
export interface PipelineToRead {
  text: string;
  file: string | undefined;
}

const { text, file } = workerData as PipelineToRead;
parentPort?.postMessage(
  toBinary(ValidatePipelineResponseSchema, create(ValidatePipelineResponseSchema, readPipeline(text, file))),
);
