import { type ChildProcess, type SpawnOptions, spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { platform, userInfo } from "node:os";
import { PostgresStartError } from "./postgres-start-error.ts";

/** Who the server runs as, where that is somebody else than we are. */
export interface ServerUser {
  name: string;
  uid: number;
  gid: number;
}

/** As root: the user `postgres`, added when there is none, since the server refuses to be root. Else undefined. */
export function serverUser(): ServerUser | undefined {
  if (userInfo().uid !== 0) return undefined;
  if (!hasSetpriv()) {
    throw new PostgresStartError(
      "PostgreSQL does not run as root, and setpriv (of util-linux) is not here to run it as another user. Install util-linux, start Ritmo as another user, or set RITMO_DATABASE_URL.",
    );
  }
  if (!find()) spawnSync("useradd", ["--system", "--no-create-home", "--shell", "/usr/sbin/nologin", "postgres"]);
  const user = find();
  if (user) return user;
  throw new PostgresStartError(
    "PostgreSQL does not run as root and there is no user `postgres`. Add one, start Ritmo as another user, or set RITMO_DATABASE_URL.",
  );
}

function find(): ServerUser | undefined {
  const rows = readFileSync("/etc/passwd", "utf8").split("\n");
  const [name, , uid, gid] = rows.map((row) => row.split(":")).find(([name]) => name === "postgres") ?? [];
  return name === undefined ? undefined : { name, uid: Number(uid), gid: Number(gid) };
}

/** Whether the server's user can get at a folder. */
export function canReach(user: ServerUser, folder: string): boolean {
  return spawnSync("setpriv", [...become(user), "ls", folder]).status === 0;
}

/** Runs a program to its end as the server's user. */
export function runAs(user: ServerUser | undefined, [program, ...args]: [string, ...string[]]) {
  return user ? spawnSync("setpriv", [...become(user), program, ...args]) : spawnSync(program, args);
}

/** Starts a program as the server's user; on Linux it is asked to end (SIGINT) when this process dies. */
export function startAs(
  user: ServerUser | undefined,
  [program, ...args]: [string, ...string[]],
  options: SpawnOptions,
): ChildProcess {
  if (platform() !== "linux" || !hasSetpriv()) return spawn(program, args, options);
  return spawn("setpriv", [...(user ? become(user) : []), "--pdeathsig", "INT", program, ...args], options);
}

function become({ uid, gid }: ServerUser): string[] {
  return ["--reuid", String(uid), "--regid", String(gid), "--clear-groups"];
}

function hasSetpriv(): boolean {
  return spawnSync("setpriv", ["--version"]).error === undefined;
}
