import type { Step } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import type { Io } from "../io.ts";
import { printTable } from "../print-table.ts";
import { STEP_LOOK } from "../states.ts";
import { tookText } from "../times.ts";

/** Prints steps as a table. */
export async function printSteps(io: Io, steps: Step[]): Promise<void> {
  const rows = steps.map((step) => {
    const { mark, word, style } = STEP_LOOK[step.state];
    const code = step.exitCode ? `exit ${step.exitCode}` : "";
    const attempt = step.attempt > 1 ? `attempt ${step.attempt}` : "";
    const note = [attempt, code, step.cause].filter((part) => part !== "").join("; ");
    return [step.key, { text: `${mark} ${word}`, style }, tookText(step.startedAt, step.finishedAt), step.worker, note];
  });
  await printTable(io, ["STEP", "STATE", "TOOK", "WORKER", "NOTE"], rows);
}
