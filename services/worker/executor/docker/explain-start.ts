import { BrokenStep } from "../executor.ts";
import { EngineTrouble } from "./engine.ts";
import { explainTrouble } from "./watch-engine.ts";

/** Why a container could not be made or started, in words for people. */
export function explainStart(reason: unknown, image: string): unknown {
  if (!(reason instanceof EngineTrouble)) return reason;
  const { kind, message } = reason;
  if (kind !== "refused") return broken(explainTrouble(reason));
  if (/exec format error/i.test(message)) {
    return author("IMAGE_WRONG_ARCHITECTURE", `${image} is made for another architecture than this worker's`);
  }
  if (/\/bin\/sh.*no such file|executable file not found|exec: "\/bin\/sh"/i.test(message)) {
    return author("SHELL_NOT_FOUND", `${image} has no /bin/sh, which runs the commands of a step`);
  }
  if (/unable to find user|no matching entries in passwd/i.test(message)) {
    return author("IMAGE_USER_UNKNOWN", `${image} names a user that it does not have (${message})`);
  }
  if (/bind source path does not exist|invalid mount config/i.test(message)) {
    return broken({
      reason: "ENGINE_ELSEWHERE",
      message: `the container engine does not see this worker's files (${message})`,
    });
  }
  if (/no space left/i.test(message))
    return broken({ reason: "DISK_FULL", message: `the engine's disk is full (${message})` });
  if (/address pool|non-overlapping/i.test(message)) {
    return broken({
      reason: "NETWORKS_EXHAUSTED",
      message: "the container engine has no addresses for another network; see default-address-pools of dockerd",
    });
  }
  if (/minimum memory limit/i.test(message)) return author("MEMORY_TOO_SMALL", message);
  return broken({ reason: "CONTAINER_NOT_STARTED", message: `the container could not be started (${message})` });
}

function author(reason: string, message: string): BrokenStep {
  return new BrokenStep(reason, message, { authorFault: true });
}

function broken({ reason, message }: { reason: string; message: string }): BrokenStep {
  return new BrokenStep(reason, message);
}
