import { JobSchema, JobService } from "@ritmo/contract/ritmo/job/v1/job_pb.js";
import type { Cli } from "../cli.ts";
import { usage } from "../exit-codes.ts";
import { neutralise } from "../neutralise.ts";
import { openServer } from "../open-client.ts";
import { pick, printJson, readFields } from "../print-json.ts";
import { nameOf } from "../target.ts";
import { describeRules } from "./describe-rules.ts";
import { type RuleOptions, readRules } from "./read-rules.ts";

interface Options extends RuleOptions {
  defaults?: boolean;
  json?: string | true;
}

/** Gives a job rules of its own, all of them at once, or the server's again. */
export async function setRetention(cli: Cli, options: Options, [name = ""]: string[]): Promise<void> {
  const fields = readFields(options.json, JobSchema);
  const rules = readRules(options);
  if (Object.keys(rules).length > 0 === (options.defaults === true))
    throw usage("Say which rules the job has, as with --days 30, or --defaults for the server's.");
  const server = openServer(cli);
  const { job } = await server.client(JobService).updateJob({
    name: await nameOf(server, name),
    updateMask: { paths: ["retention"] },
    job: options.defaults ? {} : { retention: rules },
  });
  if (!job) return;
  if (fields) return printJson(cli.io, pick(JobSchema, job, fields));
  await cli.io.stderr.write(`${neutralise(job.name)} keeps ${describeRules(job.retention)}.\n`);
}
