import { FleetService } from "@ritmo/contract/ritmo/fleet/v1/fleet_pb.js";
import type { Cli } from "../cli.ts";
import { confirm } from "../confirm.ts";
import { openServer } from "../open-client.ts";

/** Takes a worker out of the fleet, after asking. */
export async function deleteWorker(cli: Cli, options: { yes?: boolean }, [name = ""]: string[]): Promise<void> {
  const server = openServer(cli);
  await confirm(cli.io, options.yes === true, `Delete the worker ${name}?`);
  await server.client(FleetService).deleteWorker({ name });
  await cli.io.stderr.write("Deleted.\n");
}
