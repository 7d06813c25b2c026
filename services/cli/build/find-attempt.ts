import type { Client } from "@connectrpc/connect";
import type { BuildService } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import { CliError, EXIT } from "../exit-codes.ts";

/** The id of a step's attempt by its number: unlike its name it means the same for ever. Refuses what is not there. */
export async function findAttempt(
  builds: Client<typeof BuildService>,
  step: { id: string; key: string },
  number: number,
): Promise<string> {
  const { attempts } = await builds.listAttempts({ step: step.id });
  const found = attempts.find((attempt) => attempt.number === number);
  if (found) return found.id;
  const there = attempts.map((attempt) => attempt.number).join(", ") || "none yet";
  throw new CliError(EXIT.error, `The step ${step.key} has no attempt ${number}. Its attempts: ${there}.`);
}
