import { BuildOrder, BuildSchema, BuildService, BuildState } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import type { Cli } from "../cli.ts";
import { collectPages, readLimit } from "../collect-pages.ts";
import { usage } from "../exit-codes.ts";
import { openServer } from "../open-client.ts";
import { pick, printJson, readFields } from "../print-json.ts";
import { printTable } from "../print-table.ts";
import { BUILD_LOOK, stateNamed } from "../states.ts";
import { nameOf } from "../target.ts";
import { ago, tookText } from "../times.ts";
import { sourceText } from "./source-text.ts";

interface Options {
  job?: string;
  state?: string[];
  branch?: string;
  commit?: string;
  oldest?: boolean;
  limit: string;
  json?: string | true;
}

/** Prints builds as a table, or as an array of the named fields. */
export async function listBuilds(cli: Cli, options: Options): Promise<void> {
  const fields = readFields(options.json, BuildSchema);
  const limit = readLimit(options.limit);
  const states = (options.state ?? []).flatMap((text) => text.split(",")).map(readState);
  const server = openServer(cli);
  const query = {
    job: options.job === undefined ? "" : await nameOf(server, options.job),
    states,
    branch: options.branch ?? "",
    commit: options.commit ?? "",
    order: options.oldest ? BuildOrder.CREATED_ASC : BuildOrder.UNSPECIFIED,
  };
  const client = server.client(BuildService);
  const builds = await collectPages(cli.io, limit, async (page) => {
    const { builds: items, nextPageToken: next } = await client.listBuilds({ ...query, ...page });
    return { items, next };
  });
  if (fields)
    return printJson(
      cli.io,
      builds.map((build) => pick(BuildSchema, build, fields)),
    );
  const rows = builds.map((build) => {
    const { word, mark, style } = BUILD_LOOK[build.state];
    const took = tookText(build.startedAt, build.finishedAt);
    return [
      build.name,
      { text: `${mark} ${word}`, style },
      sourceText(build),
      took,
      ago(build.createdAt),
      firstLine(build.message),
    ];
  });
  await printTable(cli.io, ["BUILD", "STATE", "SOURCE", "TOOK", "STARTED", "MESSAGE"], rows);
  if (rows.length === 0) await cli.io.stderr.write("No builds. `ritmo build run JOB` starts one.\n");
}

function readState(text: string): BuildState {
  const state = stateNamed(BUILD_LOOK, BuildState as unknown as Record<string, number>, text);
  if (state !== undefined) return state;
  const words = Object.values(BUILD_LOOK).map((look) => look.word);
  throw usage(`No state is named ${JSON.stringify(text)}. There are: ${words.slice(1).join(", ")}.`);
}

function firstLine(text: string): string {
  return text.split("\n", 1)[0] ?? "";
}
