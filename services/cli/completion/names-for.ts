import type { Cli } from "../cli.ts";

const PATIENCE_MS = 2_000;

/** Names that the server knows for an argument or option of this name; none when it does not answer at once. */
export async function namesFor(cli: Cli, what: string): Promise<string[]> {
  if (what === "shell") return ["bash", "zsh", "fish"];
  if (what === "scope") return ["read", "write", "admin"];
  try {
    if (what === "context") return Object.keys((await import("../contexts.ts")).readContexts(cli.io.env).contexts);
    return await ask(cli, what);
  } catch {
    // There is no place to say what is wrong: no name is suggested.
    return [];
  }
}

async function ask(cli: Cli, what: string): Promise<string[]> {
  if (!["job", "build", "name", "step", "worker"].includes(what)) return [];
  const { openServer } = await import("../open-client.ts");
  const signal = AbortSignal.any([cli.io.signal, AbortSignal.timeout(PATIENCE_MS)]);
  const server = openServer({ ...cli, io: { ...cli.io, signal } });
  if (what === "worker") {
    const { FleetService } = await import("@ritmo/contract/ritmo/fleet/v1/fleet_pb.js");
    return (await server.client(FleetService).listWorkers({ pageSize: 200 })).workers.map(({ name }) => name);
  }
  if (what === "job") {
    const { JobService } = await import("@ritmo/contract/ritmo/job/v1/job_pb.js");
    return (await server.client(JobService).listJobs({ pageSize: 200 })).jobs.map(({ name }) => name);
  }
  const { BuildService } = await import("@ritmo/contract/ritmo/build/v1/build_pb.js");
  return (await server.client(BuildService).listBuilds({ pageSize: 50 })).builds.map(({ name }) => name);
}
