import { JobService } from "@ritmo/contract/ritmo/job/v1/job_pb.js";
import type { Cli } from "../cli.ts";
import { neutralise } from "../neutralise.ts";
import { openServer } from "../open-client.ts";
import { nameOf } from "../target.ts";

/** Makes a job refuse new builds. */
export function pauseJob(cli: Cli, _options: object, [name = ""]: string[]): Promise<void> {
  return setPaused(cli, name, true);
}

/** Lets it build again. */
export function resumeJob(cli: Cli, _options: object, [name = ""]: string[]): Promise<void> {
  return setPaused(cli, name, false);
}

async function setPaused(cli: Cli, name: string, paused: boolean): Promise<void> {
  const server = openServer(cli);
  const asked = await nameOf(server, name);
  const { job } = await server
    .client(JobService)
    .updateJob({ name: asked, updateMask: { paths: ["paused"] }, job: { paused } });
  const shown = neutralise(job?.name ?? name);
  await cli.io.stderr.write(
    paused ? `${shown} is paused; \`ritmo job resume ${shown}\` ends that.\n` : `${shown} builds again.\n`,
  );
}
