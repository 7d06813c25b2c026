import { join } from "node:path";
import type { Logger } from "../../process/logger.ts";
import type { ExecutorName, WorkerConfig } from "../config.ts";
import { chooseExecutors } from "./choose-executors.ts";
import { dockerExecutor } from "./docker/docker-executor.ts";
import { findEngine } from "./docker/find-engine.ts";
import type { Executors } from "./executor.ts";
import { processExecutor } from "./process/process-executor.ts";
import { scriptedExecutor } from "./scripted/scripted-executor.ts";

type Wanted = Pick<WorkerConfig, "executors" | "workDir" | "registryCredentials" | "imagePull" | "engineSeconds">;

/**
 * Opens the executors that a worker is to have. `docker` counts only where an engine answers now; `engine` is what it
 * calls itself, and empty without one.
 */
export async function openExecutors(
  wanted: Wanted,
  env: Record<string, string | undefined>,
  log: Logger,
): Promise<{ executors: Executors; names: ExecutorName[]; engine: string }> {
  const { workDir } = wanted;
  const wants = (name: ExecutorName) => wanted.executors.includes(name);
  const engine = wants("docker") ? await findEngine(env) : undefined;
  if (wants("docker") && !engine) log.info("no container engine answers; steps with an image are left to others");
  const containers =
    engine &&
    (await dockerExecutor({
      engine,
      workDir,
      credentialsFile: wanted.registryCredentials,
      pull: wanted.imagePull,
      patienceMs: wanted.engineSeconds * 1000,
      log,
    }));
  const asProcess = wants("process") ? processExecutor({ pipesDir: join(workDir, "pipes"), log }) : undefined;
  const plain = wants("scripted") ? scriptedExecutor() : asProcess;
  return {
    executors: chooseExecutors({ plain, containers }),
    names: wanted.executors.filter((name) => name !== "docker" || engine !== undefined),
    engine: engine?.name ?? "",
  };
}
