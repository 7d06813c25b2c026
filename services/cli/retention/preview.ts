import { BuildService, type ExpiredBuild, ExpiredBuildSchema } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import type { Cli } from "../cli.ts";
import { readLimit } from "../collect-pages.ts";
import { openServer } from "../open-client.ts";
import { pick, printJson, readFields } from "../print-json.ts";
import { type Cell, printTable } from "../print-table.ts";
import { nameOf } from "../target.ts";
import { ago, sizeText } from "../times.ts";
import { type RuleOptions, readRules } from "./read-rules.ts";

interface Options extends RuleOptions {
  job?: string;
  limit: string;
  json?: string | true;
}

const REASONS: Record<string, string> = {
  AGE: "too old",
  COUNT: "too many",
  SIZE: "too large together",
  ORGANIZATION_SIZE: "too large with all jobs",
};

/** Tells what retention would take now; takes nothing. */
export async function previewRetention(cli: Cli, options: Options): Promise<void> {
  const fields = readFields(options.json, ExpiredBuildSchema);
  const server = openServer(cli);
  const { builds, totalBuilds, totalBytes } = await server.client(BuildService).previewRetention({
    job: options.job === undefined ? "" : await nameOf(server, options.job),
    pageSize: Math.min(readLimit(options.limit), 500),
    ...readRules(options),
  });
  if (fields)
    return printJson(
      cli.io,
      builds.map((build) => pick(ExpiredBuildSchema, build, fields)),
    );
  await printTable(cli.io, ["BUILD", "ENDED", "SIZE", "WHY"], builds.map(rowOf));
  const shown = builds.length < Number(totalBuilds) ? ` (the ${builds.length} oldest are shown)` : "";
  await cli.io.stderr.write(
    totalBuilds === 0n
      ? "Nothing would go.\n"
      : `${totalBuilds} ${totalBuilds === 1n ? "build" : "builds"}${shown} with ${sizeText(totalBytes)} would go. Nothing was taken.\n`,
  );
}

function rowOf({ name, finishedAt, bytes, reason }: ExpiredBuild): Cell[] {
  return [name, ago(finishedAt), sizeText(bytes), REASONS[reason] ?? reason];
}
