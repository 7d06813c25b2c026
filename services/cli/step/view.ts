import { type Attempt, BuildService, StepSchema } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import type { Cli } from "../cli.ts";
import { neutralise } from "../neutralise.ts";
import { openServer } from "../open-client.ts";
import { paint } from "../paint.ts";
import { pick, printJson, readFields } from "../print-json.ts";
import { type Cell, printTable } from "../print-table.ts";
import { STEP_LOOK } from "../states.ts";
import { nameOf } from "../target.ts";
import { sizeText, tookText } from "../times.ts";

/** Shows one step: its state and cause, what it runs, and every attempt. */
export async function viewStep(cli: Cli, options: { json?: string | true }, [given = ""]: string[]): Promise<void> {
  const fields = readFields(options.json, StepSchema);
  const server = openServer(cli);
  const builds = server.client(BuildService);
  const { step } = await builds.getStep({ name: await nameOf(server, given) });
  if (!step) return;
  if (fields) return printJson(cli.io, pick(StepSchema, step, fields));
  const { mark, word, style } = STEP_LOOK[step.state];
  const lines = [paint(cli.io, style, `${mark} ${neutralise(step.name)} ${word}`)];
  if (step.cause) lines.push(neutralise(step.cause));
  if (step.needs.length > 0) lines.push(`Needs     ${neutralise(step.needs.join(", "))}`);
  const labels = step.spec?.requires.map(({ key, value }) => `${key}=${value}`) ?? [];
  if (labels.length > 0) lines.push(`Requires  ${neutralise(labels.join(", "))}`);
  lines.push(...(step.spec?.run ?? []).map((entry) => `Runs      ${neutralise(entry)}`));
  await cli.io.stdout.write(`${lines.join("\n")}\n`);
  const { attempts } = await builds.listAttempts({ step: step.id });
  if (attempts.length > 0) await cli.io.stdout.write("\n");
  await printTable(cli.io, ["ATTEMPT", "STATE", "TOOK", "WORKER", "LOG", "NOTE"], attempts.map(rowOf));
}

function rowOf(attempt: Attempt): Cell[] {
  const { mark, word, style } = STEP_LOOK[attempt.state];
  const took = tookText(attempt.startedAt ?? attempt.leasedAt, attempt.finishedAt);
  const log = `${sizeText(attempt.logBytes)}${attempt.logIncomplete ? ", incomplete" : ""}`;
  const code = attempt.exitCode ? `exit ${attempt.exitCode}` : attempt.signal;
  const note = [code, attempt.cause, attempt.errorLine].filter((part) => part !== "").join("; ");
  return [String(attempt.number), { text: `${mark} ${word}`, style }, took, attempt.worker, log, note];
}
