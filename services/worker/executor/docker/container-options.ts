import { readFile } from "node:fs/promises";
import { isAbsolute, join, relative } from "node:path";
import type { Work } from "../executor.ts";
import type { Engine } from "./engine.ts";
import { type Commands, INSIDE } from "./write-commands.ts";

/** What a step may not have, whoever asks, and the few things that it may. */
const CAPABILITIES = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "NET_BIND_SERVICE"];
const PIDS_LIMIT = 4096;
// Of the engine's own copy of the output, which a worker reads after a crash of its own.
const ENGINE_LOG_BYTES = 4 * 1024 ** 3;

export interface ContainerNames {
  name: string;
  labels: Record<string, string>;
  network: string;
  imageId: string;
  user: string;
}

/** How the container of a step is made: Docker Engine API 1.41, "Create a container". */
export function containerOptions(
  engine: Engine,
  work: Work,
  names: ContainerNames,
  commands: Commands,
  mounts: object[],
): Record<string, unknown> {
  const { cpuMillis, memoryBytes } = work.resources;
  return {
    name: names.name,
    Image: names.imageId,
    Labels: names.labels,
    User: names.user,
    Entrypoint: commands.entrypoint,
    Cmd: commands.cmd,
    WorkingDir: INSIDE.workspace,
    Env: Object.entries(work.env).map(([name, value]) => `${name}=${value}`),
    // What the image would do beside: no health checks, no volumes that outlive it.
    Healthcheck: { Test: ["NONE"] },
    HostConfig: {
      Mounts: mounts,
      NetworkMode: names.network,
      Init: true,
      Privileged: false,
      SecurityOpt: ["no-new-privileges"],
      CapDrop: ["ALL"],
      CapAdd: CAPABILITIES,
      IpcMode: "private",
      RestartPolicy: { Name: "no" },
      LogConfig: logConfig(engine),
      ...(engine.info.PidsLimit && { PidsLimit: PIDS_LIMIT }),
      ...(memoryBytes > 0 && { Memory: memoryBytes, MemorySwap: memoryBytes }),
      ...(cpuMillis > 0 && engine.info.CpuCfsQuota && { NanoCpus: cpuMillis * 1_000_000 }),
    },
  };
}

/** A driver that keeps bytes as they are: json-file replaces what is not UTF-8. */
function logConfig(engine: Engine): object {
  const drivers = engine.info.Plugins.Log ?? [];
  if (drivers.includes("local")) {
    return { Type: "local", Config: { "max-size": String(ENGINE_LOG_BYTES), "max-file": "1", compress: "false" } };
  }
  return drivers.includes("k8s-file") ? { Type: "k8s-file", Config: {} } : {};
}

/** What of this machine the container sees: the attempt's folders, and the objects that its checkout borrows. */
export async function mountsOf({ folders }: Work, stepFolder: string, workDir: string): Promise<object[]> {
  const bind = (source: string, target: string, readOnly = false) => ({
    Type: "bind",
    Source: source,
    Target: target,
    ReadOnly: readOnly,
  });
  const borrowed = await borrowedObjects(folders.workspace, workDir);
  return [
    bind(folders.workspace, INSIDE.workspace),
    bind(folders.home, INSIDE.home),
    bind(folders.tmp, INSIDE.tmp),
    bind(folders.script, INSIDE.script),
    bind(stepFolder, INSIDE.step, true),
    ...borrowed.map((path) => bind(path, path, true)),
  ];
}

/** Where a checkout borrows its objects: read from what the worker itself wrote, and only within its mirrors. */
async function borrowedObjects(workspace: string, workDir: string): Promise<string[]> {
  const file = join(workspace, ".git", "objects", "info", "alternates");
  const text = await readFile(file, "utf8").catch(() => "");
  const mirrors = join(workDir, "mirrors");
  return text.split("\n").filter((path) => {
    const within = relative(mirrors, path);
    return isAbsolute(path) && within !== "" && !within.startsWith("..") && !isAbsolute(within);
  });
}
