import { ArtifactSchema } from "@ritmo/contract/ritmo/artifact/v1/artifact_pb.js";
import type { Cli } from "../cli.ts";
import { readLimit } from "../collect-pages.ts";
import { openServer } from "../open-client.ts";
import { pick, printJson, readFields } from "../print-json.ts";
import { printTable } from "../print-table.ts";
import { sizeText } from "../times.ts";
import { findArtifacts } from "./find-artifacts.ts";

interface Options {
  step?: string;
  limit: string;
  json?: string | true;
}

/** Prints artifacts as a table, or as an array of the named fields. */
export async function listArtifacts(cli: Cli, options: Options, [build = "", ...globs]: string[]): Promise<void> {
  const fields = readFields(options.json, ArtifactSchema);
  const limit = readLimit(options.limit);
  const found = await findArtifacts(cli.io, openServer(cli), { build, globs, step: options.step, limit });
  if (fields)
    return printJson(
      cli.io,
      found.map((artifact) => pick(ArtifactSchema, artifact, fields)),
    );
  const rows = found.map((a) => [a.step, sizeText(a.sizeBytes), a.sha256.slice(0, 12), a.path]);
  await printTable(cli.io, ["STEP", "SIZE", "SHA256", "PATH"], rows);
  if (rows.length === 0) await cli.io.stderr.write("No artifacts.\n");
}
