import { type Job, JobOrder, JobSchema, JobService } from "@ritmo/contract/ritmo/job/v1/job_pb.js";
import type { Cli } from "../cli.ts";
import { collectPages, readLimit } from "../collect-pages.ts";
import { openServer } from "../open-client.ts";
import { pick, printJson, readFields } from "../print-json.ts";
import { type Cell, printTable } from "../print-table.ts";
import { ago } from "../times.ts";
import { lookOf } from "./last-build.ts";

interface Options {
  query?: string;
  newest?: boolean;
  limit: string;
  json?: string | true;
}

/** Prints jobs as a table, or as an array of the named fields. */
export async function listJobs(cli: Cli, options: Options): Promise<void> {
  const fields = readFields(options.json, JobSchema);
  const limit = readLimit(options.limit);
  const query = { query: options.query ?? "", order: options.newest ? JobOrder.CREATED_DESC : JobOrder.UNSPECIFIED };
  const client = openServer(cli).client(JobService);
  const jobs = await collectPages(cli.io, limit, async (page) => {
    const { jobs: items, nextPageToken: next } = await client.listJobs({ ...query, ...page });
    return { items, next };
  });
  if (fields)
    return printJson(
      cli.io,
      jobs.map((job) => pick(JobSchema, job, fields)),
    );
  await printTable(cli.io, ["JOB", "LAST BUILD", "WHEN", "BRANCH", "REPOSITORY"], jobs.map(rowOf));
  if (jobs.length === 0) await cli.io.stderr.write("No jobs. `ritmo job create NAME --repo URL` makes one.\n");
}

function rowOf(job: Job): Cell[] {
  const last = job.lastBuild;
  const { mark, word, style } = lookOf(last?.state ?? "");
  const state = last ? { text: `${mark} #${last.number} ${word}`, style } : "";
  const name = job.paused ? `${job.name} (paused)` : job.name;
  return [name, state, ago(last?.createdAt), job.defaultBranch, job.repository];
}
