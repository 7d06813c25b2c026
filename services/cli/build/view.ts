import type { Client } from "@connectrpc/connect";
import { type Build, BuildSchema, BuildService, type Step } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import type { Cli } from "../cli.ts";
import { CliError, EXIT } from "../exit-codes.ts";
import type { Io } from "../io.ts";
import { neutralise } from "../neutralise.ts";
import { openServer } from "../open-client.ts";
import { paint } from "../paint.ts";
import { diagnosticText } from "../pipeline/diagnostic-text.ts";
import { pick, printJson, readFields } from "../print-json.ts";
import { BUILD_LOOK, isBuildOver, isStepBad } from "../states.ts";
import { printSteps } from "../step/print-steps.ts";
import { buildNameOf, isId } from "../target.ts";
import { ago, tookText } from "../times.ts";
import { allSteps } from "./all-steps.ts";
import { nextCommands } from "./next-commands.ts";
import { sourceText } from "./source-text.ts";

/** Shows one build: its state, the cause first, its steps, the first error line, what to do next. */
export async function viewBuild(cli: Cli, options: { json?: string | true }, [given = ""]: string[]): Promise<void> {
  const fields = readFields(options.json, BuildSchema);
  const server = openServer(cli);
  const builds = server.client(BuildService);
  const { build } = await builds.getBuild({ name: await buildNameOf(server, given) });
  if (!build) throw new CliError(EXIT.error, "The server answered without a build.");
  if (fields) return printJson(cli.io, pick(BuildSchema, build, fields));
  const steps = await allSteps(builds, build.id);
  const { io } = cli;
  await io.stdout.write(`${headOf(io, build)}\n`);
  await printErrors(io, builds, steps);
  if (steps.length > 0) await io.stdout.write("\n");
  await printSteps(io, steps);
  const next = nextCommands(build, steps, { byId: isId(given) });
  if (next.length > 0) await io.stdout.write(`\nNext:\n${next.map((line) => `  ${neutralise(line)}\n`).join("")}`);
}

function headOf(io: Io, build: Build): string {
  const { mark, word, style } = BUILD_LOOK[build.state];
  const over = isBuildOver(build.state);
  const took = tookText(build.startedAt ?? build.createdAt, build.finishedAt);
  const asked = build.cancelRequestedAt && !over ? ", being cancelled" : "";
  const lines = [
    `${paint(io, style, `${mark} ${neutralise(build.name)} ${word}`)}${asked}  ${over ? "took" : "for"} ${took}, started ${ago(build.createdAt)}`,
  ];
  if (build.cause) lines.push(paint(io, over ? style : "yellow", neutralise(build.cause)));
  lines.push(...build.diagnostics.slice(0, 20).map((d) => `  ${diagnosticText(d)}`));
  if (build.diagnostics.length > 20) lines.push(`  and ${build.diagnostics.length - 20} more`);
  const message = build.message.split("\n", 1)[0] ?? "";
  const author = build.authorName ? ` (${build.authorName})` : "";
  lines.push("", `Source      ${neutralise(sourceText(build))}  ${neutralise(message + author)}`.trimEnd());
  if (build.repository) lines.push(`Repository  ${neutralise(build.repository)}`);
  if (build.createdBy) lines.push(`Asked by    ${neutralise(build.createdBy)}`);
  if (build.pinned) lines.push("Pinned      retention leaves it alone");
  if (build.url) lines.push(`Page        ${neutralise(build.url)}`);
  return lines.join("\n");
}

async function printErrors(io: Io, builds: Client<typeof BuildService>, steps: Step[]): Promise<void> {
  for (const step of steps.filter((s) => isStepBad(s.state) && s.attempt > 0).slice(0, 3)) {
    const { attempts } = await builds.listAttempts({ step: step.id });
    const line = attempts.at(-1)?.errorLine;
    if (line) await io.stdout.write(`\n${neutralise(step.key)}: ${paint(io, "red", neutralise(line))}\n`);
  }
}
