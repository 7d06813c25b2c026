import type { Client } from "@connectrpc/connect";
import { BuildSchema, BuildService } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import { JobService } from "@ritmo/contract/ritmo/job/v1/job_pb.js";
import type { Cli } from "../cli.ts";
import { CliError, EXIT, usage } from "../exit-codes.ts";
import { neutralise } from "../neutralise.ts";
import { openServer } from "../open-client.ts";
import { pick, printJson, readFields } from "../print-json.ts";
import { nameOf } from "../target.ts";
import { readWatch } from "./read-watch.ts";
import { watchBuild } from "./watch-build.ts";

interface Options {
  branch?: string;
  tag?: string;
  commit?: string;
  watch?: boolean;
  timeout?: string;
  logs: boolean;
  json?: string | true;
}

/** Starts a build; with --watch follows it and answers 9 when it fails. */
export async function runBuild(cli: Cli, options: Options, [job]: string[]): Promise<number> {
  const source = sourceOf(options);
  const fields = options.watch ? undefined : readFields(options.json, BuildSchema);
  const limit = readWatch(options);
  const server = openServer(cli);
  const builds = server.client(BuildService);
  const { build } = await builds.createBuild({
    job: job === undefined ? await onlyJob(server.client(JobService)) : await nameOf(server, job),
    source,
  });
  if (!build) throw new CliError(EXIT.error, "The server answered without a build.");
  if (options.watch) {
    return watchBuild(cli, server, {
      id: build.id,
      name: build.name,
      seen: new Map(),
      json: options.json !== undefined,
      logs: options.logs,
      ...limit,
    });
  }
  if (fields) await printJson(cli.io, pick(BuildSchema, build, fields));
  else {
    await cli.io.stdout.write(`${neutralise(build.name)}\n`);
    await cli.io.stderr.write(
      `Started. Follow it with \`ritmo build watch ${neutralise(build.name)}\`. ${neutralise(build.url)}\n`,
    );
  }
  return EXIT.good;
}

function sourceOf({ branch, tag, commit }: Options) {
  const given = Object.entries({ branch, tag, commit }).filter(([, value]) => value !== undefined);
  if (given.length > 1) throw usage(`Give one of ${given.map(([name]) => `--${name}`).join(" and ")}, not all.`);
  if (branch !== undefined) return { case: "branch" as const, value: branch };
  if (tag !== undefined) return { case: "tag" as const, value: tag };
  if (commit !== undefined) return { case: "commit" as const, value: commit };
  return { case: undefined };
}

async function onlyJob(jobs: Client<typeof JobService>): Promise<string> {
  const { jobs: found } = await jobs.listJobs({ pageSize: 20 });
  if (found.length === 1 && found[0]) return found[0].name;
  if (found.length === 0) throw usage("There is no job yet. Make one with `ritmo job create NAME --repo URL`.");
  throw usage(`Name the job to build. There are: ${found.map((job) => job.name).join(", ")}.`);
}
