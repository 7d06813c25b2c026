import type { Client } from "@connectrpc/connect";
import type { BuildService } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import { isStepOver } from "../states.ts";
import { allSteps } from "./all-steps.ts";

/** The number of the newest attempt of each step that is over, by the step's id: nothing that a watcher waits for. */
export async function overAttempts(builds: Client<typeof BuildService>, build: string): Promise<Map<string, number>> {
  const over = (await allSteps(builds, build)).filter((step) => isStepOver(step.state));
  return new Map(over.map((step) => [step.id, step.attempt]));
}
