import { JobSchema, JobService } from "@ritmo/contract/ritmo/job/v1/job_pb.js";
import type { Cli } from "../cli.ts";
import { neutralise } from "../neutralise.ts";
import { openServer } from "../open-client.ts";
import { paint } from "../paint.ts";
import { pick, printJson, readFields } from "../print-json.ts";
import { describeRules } from "../retention/describe-rules.ts";
import { nameOf } from "../target.ts";
import { ago } from "../times.ts";
import { lookOf } from "./last-build.ts";

/** Shows one job. */
export async function viewJob(cli: Cli, options: { json?: string | true }, [given = ""]: string[]): Promise<void> {
  const fields = readFields(options.json, JobSchema);
  const server = openServer(cli);
  const { job } = await server.client(JobService).getJob({ name: await nameOf(server, given) });
  if (!job) return;
  if (fields) return printJson(cli.io, pick(JobSchema, job, fields));
  const last = job.lastBuild;
  const { mark, word, style } = lookOf(last?.state ?? "");
  const kept =
    job.pipeline.case === "pipelineText"
      ? "kept in the job"
      : `${job.pipeline.value || ".ritmo.yaml"} of the repository`;
  const rows: [string, string][] = [
    ["Repository", neutralise(job.repository)],
    ["Branch", neutralise(job.defaultBranch)],
    ["Pipeline", neutralise(kept)],
    ["Description", neutralise(job.description)],
    [
      "Last build",
      last ? `${paint(cli.io, style, `${mark} #${last.number} ${word}`)} ${ago(last.createdAt)}` : "none yet",
    ],
    ["Keeps", job.retention ? describeRules(job.retention) : ""],
    ["Made", `${ago(job.createdAt)}, revision ${job.revision}`],
  ];
  const lines = rows.filter(([, value]) => value !== "").map(([title, value]) => `${title.padEnd(12)}${value}`);
  await cli.io.stdout.write(
    `${paint(cli.io, "bold", neutralise(job.name))}${job.paused ? "  paused" : ""}\n${lines.join("\n")}\n`,
  );
}
