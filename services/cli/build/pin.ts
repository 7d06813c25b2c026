import { type Build, BuildSchema, BuildService } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import type { Cli } from "../cli.ts";
import { neutralise } from "../neutralise.ts";
import { openServer } from "../open-client.ts";
import { pick, printJson, readFields } from "../print-json.ts";
import { buildNameOf } from "../target.ts";

interface Options {
  json?: string | true;
}

/** Keeps a build whatever the rules of retention say. */
export async function pinBuild(cli: Cli, options: Options, [name = ""]: string[]): Promise<void> {
  const fields = readFields(options.json, BuildSchema);
  const server = openServer(cli);
  const { build } = await server.client(BuildService).pinBuild({ name: await buildNameOf(server, name) });
  await tell(cli, build, fields, (shown) => `${shown} is kept until \`ritmo build unpin ${shown}\`.\n`);
}

/** Leaves it to the rules again. */
export async function unpinBuild(cli: Cli, options: Options, [name = ""]: string[]): Promise<void> {
  const fields = readFields(options.json, BuildSchema);
  const server = openServer(cli);
  const { build } = await server.client(BuildService).unpinBuild({ name: await buildNameOf(server, name) });
  await tell(cli, build, fields, (shown) => `${shown} goes when its time is up; \`ritmo retention preview\` tells.\n`);
}

async function tell(
  cli: Cli,
  build: Build | undefined,
  fields: ReturnType<typeof readFields>,
  say: (shown: string) => string,
): Promise<void> {
  if (!build) return;
  if (fields) return printJson(cli.io, pick(BuildSchema, build, fields));
  await cli.io.stderr.write(say(neutralise(build.name)));
}
