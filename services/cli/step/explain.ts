import {
  BuildService,
  type ExplainStepResponse,
  ExplainStepResponseSchema,
} from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import type { Cli } from "../cli.ts";
import { neutralise } from "../neutralise.ts";
import { openServer } from "../open-client.ts";
import { paint } from "../paint.ts";
import { pick, printJson, readFields } from "../print-json.ts";
import { printTable } from "../print-table.ts";
import { sentence } from "../sentence.ts";
import { STEP_LOOK } from "../states.ts";
import { nameOf } from "../target.ts";
import { ago } from "../times.ts";

/** Says why a step waits, worker by worker, or how it ended, and what would change that. */
export async function explainStep(cli: Cli, options: { json?: string | true }, [given = ""]: string[]): Promise<void> {
  const fields = readFields(options.json, ExplainStepResponseSchema);
  const server = openServer(cli);
  const builds = server.client(BuildService);
  const told = await builds.explainStep({ name: await nameOf(server, given) });
  if (fields) return printJson(cli.io, pick(ExplainStepResponseSchema, told, fields));
  const look = told.step ? STEP_LOOK[told.step.state] : undefined;
  const head = look
    ? `${paint(cli.io, look.style, `${look.mark} ${neutralise(told.step?.name ?? "")} ${look.word}`)}\n`
    : "";
  const lines = [`${head}${neutralise(sentence(told.summary))}`, ...factsOf(told)];
  if (told.remedy) lines.push(neutralise(sentence(told.remedy)));
  await cli.io.stdout.write(`${lines.join("\n")}\n`);
  if (told.why.case !== "waitsForWorker" || told.why.value.workers.length === 0) return;
  await cli.io.stdout.write("\n");
  await printTable(
    cli.io,
    ["WORKER", "WHY NOT"],
    told.why.value.workers.map(({ worker, text }) => [worker, text]),
  );
}

function factsOf({ why }: ExplainStepResponse): string[] {
  if (why.case === "waitsForSteps") return [`It waits for ${neutralise(why.value.steps.join(", "))}.`];
  if (why.case === "runs") return [`On ${neutralise(why.value.worker)}, since ${ago(why.value.leasedAt)}.`];
  if (why.case === "over" && why.value.becauseOf.length > 0)
    return [`Because of ${neutralise(why.value.becauseOf.join(", "))}.`];
  if (why.case !== "waitsForWorker") return [];
  const { queuePosition, queuedAt } = why.value;
  const before =
    queuePosition === 0 ? "Nothing is before it in its queue" : `${queuePosition} are before it in its queue`;
  return [`${before}; queued ${ago(queuedAt)}.`];
}
