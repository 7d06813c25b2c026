import { JobSchema, JobService } from "@ritmo/contract/ritmo/job/v1/job_pb.js";
import type { Cli } from "../cli.ts";
import { usage } from "../exit-codes.ts";
import { neutralise } from "../neutralise.ts";
import { openServer } from "../open-client.ts";
import { pick, printJson, readFields } from "../print-json.ts";
import { type JobOptions, readPipelineOption } from "./read-job-fields.ts";

/** Adds a job. */
export async function createJob(cli: Cli, options: JobOptions, [name = ""]: string[]): Promise<void> {
  const fields = readFields(options.json, JobSchema);
  if (options.repo === undefined && options.pipeline === undefined)
    throw usage("Say which --repo to build; only a job that keeps its --pipeline can do without.");
  const pipeline = await readPipelineOption(cli, options);
  const { job } = await openServer(cli)
    .client(JobService)
    .createJob({
      job: {
        name,
        repository: options.repo ?? "",
        defaultBranch: options.branch ?? "",
        description: options.description ?? "",
        pipeline,
      },
    });
  if (!job) return;
  if (fields) return printJson(cli.io, pick(JobSchema, job, fields));
  const shown = neutralise(job.name);
  await cli.io.stdout.write(`${shown}\n`);
  await cli.io.stderr.write(`Made. Build it with \`ritmo build run ${shown} --watch\`.\n`);
}
