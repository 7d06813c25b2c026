import type { ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  realpathSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import postgres from "postgres";
import { freePort } from "../process/free-port.ts";
import { sleep } from "../process/wait.ts";
import { endLeftover } from "./end-leftover.ts";
import { findBinaries } from "./find-binaries.ts";
import { makeData } from "./make-data.ts";
import { PostgresStartError } from "./postgres-start-error.ts";
import { canReach, type ServerUser, serverUser, startAs } from "./server-user.ts";

/** A PostgreSQL server of our own, from the binaries that npm installs. */
export interface EmbeddedPostgres {
  url: string;
  port: number;
  pid: number;
  /** Resolves when the server process has ended, however that came. */
  ended: Promise<void>;
  /** Lets running statements end, writes a checkpoint, and waits for the process. */
  stop(): Promise<void>;
}

export interface StartPostgresOptions {
  /** Made when it isn't there; holds `data` and the log. */
  folder: string;
  /** A free one unless told. */
  port?: number;
  /** For tests alone: no fsync, so that a crash of the machine may lose data. */
  careless?: boolean;
  settings?: Record<string, string>;
}

const START_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 20_000;
const TRIES = 20;
// Somebody took the port in between, or the backends of a killed postmaster have not all noticed yet.
const WORTH_ANOTHER_TRY = /Address already in use|shared memory block|lock file "postmaster.pid" already exists/;

/**
 * Starts PostgreSQL on a loopback port with its data under the folder, first making it when it is new. What an earlier
 * crash left is ended or removed. As root it runs as the user `postgres`, as the server insists. Throws
 * PostgresStartError.
 */
export async function startPostgres(options: StartPostgresOptions): Promise<EmbeddedPostgres> {
  const user = serverUser();
  const bin = findBinaries(user);
  mkdirSync(options.folder, { recursive: true });
  // The postmaster's own folder, by which a leftover is known, is told without links.
  const folder = realpathSync(options.folder);
  if (user) {
    chownSync(folder, user.uid, user.gid);
    refuseUnreachable(folder, user);
  }
  const password = readPassword(folder);
  const data = makeData(folder, bin, password, user);
  for (let n = 1; ; n++) {
    await endLeftover(data);
    const port = options.port ?? (await freePort());
    const started = await tryStart({ ...options, folder, data, port, password, program: join(bin, "postgres"), user });
    if (typeof started !== "string") return started;
    if (n < TRIES && WORTH_ANOTHER_TRY.test(started)) await sleep(250);
    else
      throw new PostgresStartError(
        `PostgreSQL did not start: ${cause(started)} (all of it: ${join(folder, "postgres.log")})`,
      );
  }
}

interface Start extends StartPostgresOptions {
  data: string;
  port: number;
  password: string;
  program: string;
  user: ServerUser | undefined;
}

/** Answers what the server said where it did not come up. */
async function tryStart(start: Start): Promise<EmbeddedPostgres | string> {
  const { folder, port, password } = start;
  const logPath = join(folder, "postgres.log");
  const logStart = existsSync(logPath) ? statSync(logPath).size : 0;
  const child = run(start, logPath);
  const ended = new Promise<void>((resolve) => {
    child.once("error", () => resolve());
    child.once("exit", () => resolve());
  });
  const address = `postgres://ritmo:${password}@127.0.0.1:${port}`;
  if (!(await becomesReady(`${address}/postgres`, ended))) {
    child.kill("SIGQUIT");
    await ended;
    return readFileSync(logPath).subarray(logStart).toString();
  }
  return {
    url: `${address}/ritmo`,
    port,
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

function refuseUnreachable(folder: string, user: ServerUser): void {
  if (canReach(user, folder)) return;
  throw new PostgresStartError(
    `The user \`postgres\`, as which PostgreSQL runs here, can't reach ${folder}. Name a RITMO_DATA_DIR that is not under a home folder closed to others, or set RITMO_DATABASE_URL.`,
  );
}

function readPassword(folder: string): string {
  const path = join(folder, "password");
  if (!existsSync(path)) writeFileSync(path, randomBytes(24).toString("hex"), { mode: 0o600 });
  return readFileSync(path, "utf8");
}

function run({ program, data, port, careless, settings, user }: Start, logPath: string): ChildProcess {
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
  const args = Object.entries(options).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  const log = openSync(logPath, "a", 0o600);
  try {
    // Detached, so that a Ctrl-C in the terminal reaches the parent alone, which stops things in their order.
    return startAs(user, [program, "-D", data, ...args], {
      detached: true,
      stdio: ["ignore", log, log],
      env: { LC_ALL: "C", TZ: "UTC", PATH: process.env["PATH"] ?? "" },
    });
  } finally {
    closeSync(log);
  }
}

async function becomesReady(adminUrl: string, ended: Promise<void>): Promise<boolean> {
  const sql = postgres(adminUrl, { max: 1, connect_timeout: 2, onnotice: () => {} });
  let over = false;
  void ended.then(() => {
    over = true;
  });
  try {
    for (const end = Date.now() + START_TIMEOUT_MS; !over && Date.now() < end; await sleep(20)) {
      try {
        const [row] = await sql`SELECT 1 FROM pg_database WHERE datname = 'ritmo'`;
        if (!row) await sql`CREATE DATABASE ritmo`;
        return !over;
      } catch {
        // Not yet: it is starting, or replaying what a crash left.
      }
    }
    return false;
  } finally {
    await sql.end({ timeout: 1 });
  }
}

function cause(text: string): string {
  const lines = text.trim().split("\n");
  return lines.findLast((line) => /FATAL|PANIC|error:/.test(line)) ?? lines.at(-1) ?? "";
}
