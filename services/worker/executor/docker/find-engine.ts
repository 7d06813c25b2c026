import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import Docker from "dockerode";
import { callEngine, type Engine } from "./engine.ts";

const ANSWER_WITHIN_MS = 3_000;

/**
 * The first engine that answers: the one that DOCKER_HOST names, else the usual sockets of Docker (of the system, of
 * this user) and of Podman. Undefined without any.
 */
export async function findEngine(env: Record<string, string | undefined>): Promise<Engine | undefined> {
  for (const place of placesOf(env)) {
    const docker = new Docker(place);
    try {
      return await ask(docker);
    } catch {
      // Not here: the next place may have one.
    }
  }
  return undefined;
}

async function ask(docker: Docker): Promise<Engine> {
  const within = { withinMs: ANSWER_WITHIN_MS };
  const version = await callEngine("version", (abortSignal) => docker.version({ abortSignal }), within);
  const info = await callEngine("info", (abortSignal) => docker.info({ abortSignal }), within);
  const podman = version.Components?.some(({ Name }) => /podman/i.test(Name)) ?? false;
  return {
    docker,
    info,
    name: `${podman ? "podman" : "docker"} ${version.Version}`,
    rootless: (info.SecurityOptions ?? []).some((option) => /(^|,)name=rootless/.test(option)),
    arch: archOf(info.Architecture),
  };
}

function placesOf(env: Record<string, string | undefined>): Record<string, unknown>[] {
  const given = env["DOCKER_HOST"];
  if (given) return placeOf(given);
  if (process.platform === "win32") return [{ socketPath: "//./pipe/docker_engine" }];
  const runtime = env["XDG_RUNTIME_DIR"];
  const sockets = [
    "/var/run/docker.sock",
    ...(runtime ? [join(runtime, "docker.sock")] : []),
    join(homedir(), ".docker", "run", "docker.sock"),
    ...(runtime ? [join(runtime, "podman", "podman.sock")] : []),
    "/run/podman/podman.sock",
  ];
  return sockets.filter((path) => existsSync(path)).map((socketPath) => ({ socketPath }));
}

/** An engine must share this machine's files; an address of another machine is as good as none. */
function placeOf(host: string): Record<string, unknown>[] {
  const socket = /^(?:unix|npipe):\/\/(.+)$/.exec(host)?.[1];
  if (socket) return [{ socketPath: socket }];
  const tcp = /^(?:tcp|http):\/\/(127\.0\.0\.1|localhost|\[::1\]):(\d+)\/?$/.exec(host);
  return tcp ? [{ host: `http://${tcp[1]}`, port: Number(tcp[2]) }] : [];
}

// In the words of images (GOARCH), which the engine itself does not use here.
const ARCHES: Record<string, string> = { x86_64: "amd64", aarch64: "arm64", armv7l: "arm", i686: "386" };

function archOf(machine: string): string {
  return ARCHES[machine] ?? machine;
}
