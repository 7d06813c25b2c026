import { CreateWorkerResponseSchema, FleetService } from "@ritmo/contract/ritmo/fleet/v1/fleet_pb.js";
import type { Cli } from "../cli.ts";
import { CliError, EXIT } from "../exit-codes.ts";
import { openServer } from "../open-client.ts";
import { pick, printJson, readFields } from "../print-json.ts";
import { readLabels } from "./labels.ts";

interface Options {
  labels?: string;
  pool?: string;
  allowLabels?: string;
  json?: string | true;
}

/** Makes a place in the fleet; its token is the only thing on stdout. */
export async function createWorker(cli: Cli, options: Options, [name = ""]: string[]): Promise<void> {
  const fields = readFields(options.json, CreateWorkerResponseSchema);
  const request = {
    name,
    pool: options.pool ?? "",
    labels: readLabels(options.labels),
    allowedLabelKeys: (options.allowLabels ?? "").split(",").filter((key) => key !== ""),
  };
  const made = await openServer(cli).client(FleetService).createWorker(request);
  if (made.token === "")
    throw new CliError(
      EXIT.error,
      `The worker ${name} is made, but the answer with its token was lost. Delete it and make it again.`,
    );
  if (fields) return printJson(cli.io, pick(CreateWorkerResponseSchema, made, fields));
  await cli.io.stdout.write(`${made.token}\n`);
  await cli.io.stderr.write(
    "This token is shown once. On the worker's machine: put it in a file, then\n  RITMO_WORKER_TOKEN_FILE=FILE ritmo worker --control-plane HOST:7481\n",
  );
}
