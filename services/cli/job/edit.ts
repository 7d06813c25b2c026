import { JobSchema, JobService } from "@ritmo/contract/ritmo/job/v1/job_pb.js";
import type { Cli } from "../cli.ts";
import { usage } from "../exit-codes.ts";
import { neutralise } from "../neutralise.ts";
import { openServer } from "../open-client.ts";
import { pick, printJson, readFields } from "../print-json.ts";
import { nameOf } from "../target.ts";
import { type JobOptions, readPipelineOption } from "./read-job-fields.ts";

interface Options extends JobOptions {
  name?: string;
  revision?: string;
}

/** Changes what the options name and nothing else. */
export async function editJob(cli: Cli, options: Options, [given = ""]: string[]): Promise<void> {
  const fields = readFields(options.json, JobSchema);
  const revision = readRevision(options.revision);
  const pipeline = await readPipelineOption(cli, options);
  const paths = [
    options.name !== undefined && "name",
    options.repo !== undefined && "repository",
    options.branch !== undefined && "default_branch",
    options.description !== undefined && "description",
    pipeline.case === "pipelinePath" && "pipeline_path",
    pipeline.case === "pipelineText" && "pipeline_text",
  ].filter((path): path is string => path !== false);
  if (paths.length === 0) throw usage("Say what to change, as with --branch or --pipeline.");
  const server = openServer(cli);
  const { job } = await server.client(JobService).updateJob({
    name: await nameOf(server, given),
    updateMask: { paths },
    revision,
    job: {
      name: options.name ?? "",
      repository: options.repo ?? "",
      defaultBranch: options.branch ?? "",
      description: options.description ?? "",
      pipeline,
    },
  });
  if (!job) return;
  if (fields) return printJson(cli.io, pick(JobSchema, job, fields));
  await cli.io.stderr.write(`${neutralise(job.name)} is changed; it is at revision ${job.revision}.\n`);
}

function readRevision(text: string | undefined): bigint {
  if (text === undefined) return 0n;
  if (!/^[1-9]\d{0,17}$/.test(text)) throw usage(`--revision ${JSON.stringify(text)} is not a number from 1.`);
  return BigInt(text);
}
