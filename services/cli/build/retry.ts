import { BuildSchema, BuildService } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import type { Cli } from "../cli.ts";
import { EXIT } from "../exit-codes.ts";
import { neutralise } from "../neutralise.ts";
import { openServer } from "../open-client.ts";
import { pick, printJson, readFields } from "../print-json.ts";
import { buildNameOf, isId } from "../target.ts";
import { overAttempts } from "./over-attempts.ts";
import { readWatch } from "./read-watch.ts";
import { watchBuild } from "./watch-build.ts";

interface Options {
  step?: string[];
  watch?: boolean;
  timeout?: string;
  json?: string | true;
}

/** Opens a build again; with --watch follows it and answers 9 when it fails. */
export async function retryBuild(cli: Cli, options: Options, [given = ""]: string[]): Promise<number> {
  const fields = options.watch ? undefined : readFields(options.json, BuildSchema);
  const limit = readWatch(options);
  const server = openServer(cli);
  const builds = server.client(BuildService);
  const name = await buildNameOf(server, given);
  const seen = options.watch ? await overAttempts(builds, name) : new Map<string, number>();
  const { build } = await builds.retryBuild({ name, steps: options.step ?? [] });
  if (!build) return EXIT.error;
  if (options.watch) {
    const json = options.json !== undefined;
    return watchBuild(cli, server, {
      id: build.id,
      name: isId(given) ? build.id : build.name,
      seen,
      json,
      logs: true,
      ...limit,
    });
  }
  if (fields) await printJson(cli.io, pick(BuildSchema, build, fields));
  else
    await cli.io.stderr.write(
      `${neutralise(build.name)} runs again; \`ritmo build watch ${neutralise(build.name)}\` follows it.\n`,
    );
  return EXIT.good;
}
