import { BuildService } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import type { Cli } from "../cli.ts";
import { openServer } from "../open-client.ts";
import { buildNameOf } from "../target.ts";
import { readDuration } from "../times.ts";
import { overAttempts } from "./over-attempts.ts";
import { watchBuild } from "./watch-build.ts";

interface Options {
  timeout?: string;
  logs: boolean;
  json?: boolean;
}

/** Follows a build to its end; answers 9 when it fails. */
export async function watch(cli: Cli, options: Options, [name = ""]: string[]): Promise<number> {
  const timeoutMs = options.timeout === undefined ? undefined : readDuration(options.timeout);
  const server = openServer(cli);
  const build = await buildNameOf(server, name);
  return watchBuild(cli, server, {
    id: build,
    name: build,
    seen: await overAttempts(server.client(BuildService), build),
    json: options.json === true,
    logs: options.logs,
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  });
}
