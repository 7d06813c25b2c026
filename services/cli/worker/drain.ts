import { FleetService } from "@ritmo/contract/ritmo/fleet/v1/fleet_pb.js";
import type { Cli } from "../cli.ts";
import { neutralise } from "../neutralise.ts";
import { openServer } from "../open-client.ts";

/** Gives a worker nothing new. */
export async function drainWorker(
  cli: Cli,
  { reason = "" }: { reason?: string },
  [name = ""]: string[],
): Promise<void> {
  const { worker } = await openServer(cli).client(FleetService).drainWorker({ name, reason });
  const left = worker && worker.busySlots > 0 ? `, ${worker.busySlots} to finish` : "";
  const shown = neutralise(worker?.name ?? name);
  await cli.io.stderr.write(`${shown} is draining${left}; \`ritmo worker resume ${shown}\` ends that.\n`);
}

/** Gives it work again. */
export async function resumeWorker(cli: Cli, _options: object, [name = ""]: string[]): Promise<void> {
  const { worker } = await openServer(cli).client(FleetService).resumeWorker({ name });
  await cli.io.stderr.write(`${neutralise(worker?.name ?? name)} takes work again.\n`);
}
