import { BuildSchema, BuildService } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import type { Cli } from "../cli.ts";
import { neutralise } from "../neutralise.ts";
import { openServer } from "../open-client.ts";
import { pick, printJson, readFields } from "../print-json.ts";
import { buildNameOf } from "../target.ts";

interface Options {
  reason?: string;
  json?: string | true;
}

/** Asks a build to end. */
export async function cancelBuild(cli: Cli, options: Options, [name = ""]: string[]): Promise<void> {
  const fields = readFields(options.json, BuildSchema);
  const server = openServer(cli);
  const asked = await buildNameOf(server, name);
  const { build } = await server.client(BuildService).cancelBuild({ name: asked, reason: options.reason ?? "" });
  if (!build) return;
  if (fields) return printJson(cli.io, pick(BuildSchema, build, fields));
  await cli.io.stderr.write(
    `${neutralise(build.name)} is being cancelled; \`ritmo build watch ${neutralise(build.name)}\` sees it end.\n`,
  );
}
