import type { Cli } from "../cli.ts";
import { usage } from "../exit-codes.ts";
import { readText } from "../read-text.ts";

export interface JobOptions {
  repo?: string;
  branch?: string;
  description?: string;
  pipeline?: string;
  pipelinePath?: string;
  json?: string | true;
}

type Pipeline =
  | { case: "pipelineText"; value: string }
  | { case: "pipelinePath"; value: string }
  | { case: undefined; value?: undefined };

/** Where the pipeline shall live, as the options say; reads the file that is to be kept in the job. */
export async function readPipelineOption({ io }: Cli, { pipeline, pipelinePath }: JobOptions): Promise<Pipeline> {
  if (pipeline !== undefined && pipelinePath !== undefined) {
    throw usage(
      "--pipeline keeps the text in the job and --pipeline-path names a file of the repository: give one of them.",
    );
  }
  if (pipeline !== undefined) return { case: "pipelineText", value: await readText(io, pipeline) };
  if (pipelinePath !== undefined) return { case: "pipelinePath", value: pipelinePath };
  return { case: undefined };
}
