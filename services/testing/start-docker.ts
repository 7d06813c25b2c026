import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import {
  accessSync,
  constants,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { text } from "node:stream/consumers";
import Docker from "dockerode";
import { sleep } from "../process/wait.ts";

/** A real container engine for tests, with files and a socket of its own. */
export interface TestDocker extends AsyncDisposable {
  /** As DOCKER_HOST has it. */
  host: string;
  docker: Docker;
  readonly child: ChildProcess;
  /** Busybox, made on the spot: `busybox:local`. */
  image: string;
  /**
   * Imports it once more, under another name: with changes as in a Dockerfile, as made for another platform, or with
   * only some of its folders.
   */
  importImage(name: string, options?: { changes?: string[]; platform?: string; keep?: string[] }): Promise<void>;
  /** Brings an image of its own under a name to a registry, and answers the digest that it has there. */
  pushImage(name: string, from?: string): Promise<string>;
  /** Kills it, as a crash does, and starts it again over the same files. */
  kill(): Promise<void>;
  restart(): Promise<void>;
  /** Its containers and networks that are not its own. */
  made(): Promise<string[]>;
}

/** Why a test of containers is skipped; undefined when this machine can run them. */
export function whyNoDocker(): string | undefined {
  if (process.platform !== "linux" || process.getuid?.() !== 0)
    return "a container engine is started by root, on Linux";
  const missing = ["dockerd", "iptables", "busybox"].filter((program) => findProgram(program) === undefined);
  return missing.length > 0 ? `not installed: ${missing.join(", ")}` : undefined;
}

export function findProgram(name: string): string | undefined {
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/sbin"];
  return folders.map((folder) => join(folder, name)).find(isProgram);
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

const READY_WITHIN_MS = 30_000;

/** How long a test waits for its turn: engines of one machine share its packet filter, so there is one at a time. */
export const DOCKER_TURN_MS = 300_000;

const TURN = join(tmpdir(), "ritmo-test-docker.turn");

async function takeTurn(): Promise<void> {
  for (const until = Date.now() + DOCKER_TURN_MS; Date.now() < until; await sleep(100)) {
    try {
      return writeFileSync(TURN, String(process.pid), { flag: "wx" });
    } catch {
      if (!isAlive()) rmSync(TURN, { force: true });
    }
  }
  throw new Error(`another test holds ${TURN}`);
}

function isAlive(): boolean {
  try {
    const pid = Number(readFileSync(TURN, "utf8"));
    // Written a moment after it was made.
    return pid === 0 || process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** Starts dockerd; it and all that it made are ended and removed at the end of `await using`. */
export async function startDocker(args: string[] = []): Promise<TestDocker> {
  await takeTurn();
  const folder = mkdtempSync(join(tmpdir(), "ritmo-docker-"));
  const socket = join(folder, "docker.sock");
  const docker = new Docker({ socketPath: socket });
  const root = busyboxRoot(folder);
  let child = launch(folder, socket, args);
  const test: TestDocker = {
    host: `unix://${socket}`,
    docker,
    image: "busybox:local",
    get child() {
      return child;
    },
    async importImage(name, { changes = [], platform, keep = ["."] } = {}) {
      const [repo, tag] = name.split(":");
      const tar = join(folder, `${repo}.tar`);
      execFileSync("tar", ["-C", root, "-cf", tar, ...keep]);
      const said = await text(
        platform === undefined
          ? await docker.importImage(tar, { repo, tag, changes })
          : await docker.loadImage(archiveFor(folder, tar, name, platform)),
      );
      if (said.includes("error")) throw new Error(said);
    },
    async pushImage(name, from = "busybox:local") {
      const [, repo, tag] = /^(.*):([^:]*)$/.exec(name) ?? [];
      await docker.getImage(from).tag({ repo, tag });
      const said = await text(await docker.getImage(name).push({ authconfig: {} }));
      const digest = /sha256:[0-9a-f]{64}/.exec(/digest: .*/.exec(said)?.[0] ?? "")?.[0];
      if (!digest) throw new Error(said);
      return digest;
    },
    async kill() {
      const gone = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGKILL");
      await gone;
    },
    async restart() {
      // Where nobody reaps it, the dead process still has its number.
      for (const file of ["docker.pid", "exec/containerd/containerd.pid"]) rmSync(join(folder, file), { force: true });
      child = launch(folder, socket, args);
      await untilReady(child, docker);
    },
    async made() {
      const containers = await docker.listContainers({ all: true });
      const networks = await docker.listNetworks();
      const own = new Set(["bridge", "host", "none"]);
      return [...containers.map(({ Names }) => Names[0] ?? ""), ...networks.map(({ Name }) => Name)].filter(
        (name) => !own.has(name),
      );
    },
    [Symbol.asyncDispose]: () => end(folder, docker, child),
  };
  try {
    await untilReady(child, docker);
    await test.importImage(test.image, { changes: ['CMD ["/bin/sh"]'] });
  } catch (reason) {
    await test[Symbol.asyncDispose]();
    throw reason;
  }
  return test;
}

function launch(folder: string, socket: string, args: string[]): ChildProcess {
  const program = findProgram("dockerd") ?? "dockerd";
  const own = ["--data-root", join(folder, "data"), "--exec-root", join(folder, "exec")];
  // No address of the default pools: other engines of this machine may have them.
  const pool = ["--default-address-pool", "base=10.213.0.0/16,size=24", "--bip", "10.214.0.1/24"];
  return spawn(program, ["-H", `unix://${socket}`, ...own, "--pidfile", join(folder, "docker.pid"), ...pool, ...args], {
    env: { PATH: `${process.env["PATH"]}:/usr/sbin:/sbin` },
    stdio: "ignore",
    detached: true,
  });
}

/** An archive as `docker save` writes it, since an import is always for the engine's own platform. */
function archiveFor(folder: string, layer: string, name: string, platform: string): string {
  const [os, architecture] = platform.split("/");
  const parts = join(folder, `archive-${architecture}`);
  mkdirSync(parts);
  copyFileSync(layer, join(parts, "layer.tar"));
  const diff = createHash("sha256").update(readFileSync(layer)).digest("hex");
  const config = { os, architecture, config: {}, rootfs: { type: "layers", diff_ids: [`sha256:${diff}`] } };
  writeFileSync(join(parts, "config.json"), JSON.stringify(config));
  const manifest = [{ Config: "config.json", RepoTags: [name], Layers: ["layer.tar"] }];
  writeFileSync(join(parts, "manifest.json"), JSON.stringify(manifest));
  const archive = `${parts}.tar`;
  execFileSync("tar", ["-C", parts, "-cf", archive, "."]);
  return archive;
}

async function untilReady(child: ChildProcess, docker: Docker): Promise<void> {
  for (const until = Date.now() + READY_WITHIN_MS; Date.now() < until && child.exitCode === null; await sleep(50)) {
    const ready = await docker.ping().then(
      () => true,
      () => false,
    );
    if (ready) return;
  }
  throw new Error("dockerd did not become ready");
}

/** The root file system of an image that is nothing but busybox. */
function busyboxRoot(folder: string): string {
  const root = join(folder, "busybox");
  for (const name of ["bin", "tmp", "etc", "proc", "sys", "dev"]) mkdirSync(join(root, name), { recursive: true });
  copyFileSync(findProgram("busybox") ?? "busybox", join(root, "bin", "busybox"));
  writeFileSync(join(root, "etc", "passwd"), "root:x:0:0:root:/:/bin/sh\nada:x:1234:1235:Ada:/:/bin/sh\n");
  execFileSync("chroot", [root, "/bin/busybox", "--install", "-s", "/bin"]);
  execFileSync("chmod", ["1777", join(root, "tmp")]);
  return root;
}

async function end(folder: string, docker: Docker, child: ChildProcess): Promise<void> {
  child.kill("SIGCONT");
  const containers = await docker.listContainers({ all: true }).catch(() => []);
  await Promise.all(
    containers.map(({ Id }) =>
      docker
        .getContainer(Id)
        .remove({ force: true, v: true })
        .catch(() => {}),
    ),
  );
  const networks = await docker.listNetworks().catch(() => []);
  const made = networks.filter(({ Name }) => Name.startsWith("ritmo-"));
  await Promise.all(
    made.map(({ Id }) =>
      docker
        .getNetwork(Id)
        .remove()
        .catch(() => {}),
    ),
  );
  const gone = new Promise((resolve) => child.once("exit", resolve));
  const late = setTimeout(() => child.kill("SIGKILL"), 10_000);
  if (child.exitCode === null && child.signalCode === null && child.kill("SIGTERM")) await gone;
  clearTimeout(late);
  endShims(folder);
  removeMounts(folder);
  rmSync(TURN, { force: true });
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}

/** What a killed engine left running: each names the folder as where its engine listens. */
function endShims(folder: string): void {
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const words = readFileSync(`/proc/${pid}/cmdline`, "utf8");
      if (words.includes("containerd") && words.includes(`${folder}/`)) process.kill(Number(pid), "SIGKILL");
    } catch {
      // It went meanwhile.
    }
  }
}

/** What a killed engine left mounted would make its folder undeletable. */
function removeMounts(folder: string): void {
  const mounts = execFileSync("cat", ["/proc/self/mounts"], { encoding: "utf8" }).split("\n");
  const ours = mounts.map((line) => line.split(" ")[1] ?? "").filter((path) => path.startsWith(`${folder}/`));
  for (const path of ours.reverse()) {
    try {
      execFileSync("umount", ["-l", path], { stdio: "ignore" });
    } catch {
      // It went meanwhile.
    }
  }
}
