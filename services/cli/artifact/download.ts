import { resolve } from "node:path";
import { type Artifact, ArtifactService } from "@ritmo/contract/ritmo/artifact/v1/artifact_pb.js";
import type { Cli } from "../cli.ts";
import { CliError, EXIT } from "../exit-codes.ts";
import type { Io } from "../io.ts";
import { linkOf } from "../keep-reading.ts";
import { neutralise } from "../neutralise.ts";
import { openServer } from "../open-client.ts";
import { sizeText } from "../times.ts";
import { fetchFile } from "./fetch-file.ts";
import { findArtifacts } from "./find-artifacts.ts";
import { safePath } from "./safe-path.ts";

interface Options {
  to: string;
  step?: string;
  force?: boolean;
}

const MOST = 100_000;
const AT_ONCE = 4;

/** Fetches the files that match into a folder, each checked against its digest before it gets its name. */
export async function downloadArtifacts(cli: Cli, options: Options, [build = "", ...globs]: string[]): Promise<void> {
  const { io } = cli;
  const server = openServer(cli);
  const found = await findArtifacts(io, server, { build, globs, step: options.step, limit: MOST });
  if (found.length === 0)
    throw new CliError(
      EXIT.error,
      `No artifact of ${build} matches. \`ritmo artifact list ${build}\` shows what there is.`,
    );
  refuseClashes(found);
  const client = server.client(ArtifactService);
  const keep = { signal: io.signal, link: linkOf(io) };
  const to = resolve(io.cwd, options.to);
  const force = options.force === true;
  await inParallel(found, async (artifact) => {
    const how = await fetchFile(client, artifact, { to, force, keep });
    await say(io, artifact, how);
  });
}

/** All paths are looked at before the first byte is fetched. */
function refuseClashes(found: Artifact[]): void {
  const steps = new Map<string, string>();
  for (const { path, step } of found) {
    safePath(path);
    const other = steps.get(path);
    if (other !== undefined) {
      throw new CliError(EXIT.error, `Both ${other} and ${step} kept ${path}. Choose one with --step.`);
    }
    steps.set(path, step);
  }
}

function say(io: Io, { path, sizeBytes }: Artifact, how: "fetched" | "there"): Promise<void> {
  const size = how === "there" ? "already there" : sizeText(sizeBytes);
  return io.stderr.write(`${neutralise(path)}  ${size}\n`);
}

/** The first failure ends the rest: what is under way stays, to be resumed. */
async function inParallel<T>(items: T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values();
  const lane = async () => {
    for (const item of queue) await work(item);
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, items.length) }, lane));
}
