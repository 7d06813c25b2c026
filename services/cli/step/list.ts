import { BuildService, StepSchema } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import { allSteps } from "../build/all-steps.ts";
import type { Cli } from "../cli.ts";
import { openServer } from "../open-client.ts";
import { pick, printJson, readFields } from "../print-json.ts";
import { buildNameOf } from "../target.ts";
import { printSteps } from "./print-steps.ts";

/** Prints the steps of a build in the pipeline's order. */
export async function listSteps(cli: Cli, options: { json?: string | true }, [given = ""]: string[]): Promise<void> {
  const fields = readFields(options.json, StepSchema);
  const server = openServer(cli);
  const steps = await allSteps(server.client(BuildService), await buildNameOf(server, given));
  if (fields)
    return printJson(
      cli.io,
      steps.map((step) => pick(StepSchema, step, fields)),
    );
  await printSteps(cli.io, steps);
  if (steps.length === 0) await cli.io.stderr.write("No steps: the build has no plan. `ritmo build view` says why.\n");
}
