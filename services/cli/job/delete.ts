import { JobService } from "@ritmo/contract/ritmo/job/v1/job_pb.js";
import type { Cli } from "../cli.ts";
import { confirm } from "../confirm.ts";
import { openServer } from "../open-client.ts";
import { nameOf } from "../target.ts";

/** Removes a job, after asking. */
export async function deleteJob(cli: Cli, options: { yes?: boolean }, [given = ""]: string[]): Promise<void> {
  const server = openServer(cli);
  const name = await nameOf(server, given);
  await confirm(cli.io, options.yes === true, `Delete the job ${given}?`);
  await server.client(JobService).deleteJob({ name });
  await cli.io.stderr.write("Deleted.\n");
}
