import { chownSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { runAs, type ServerUser, startAs } from "../postgres/server-user.ts";

/** The oldest PostgreSQL that Ritmo runs on, where Debian puts it. */
export const POSTGRES_15 = process.env["RITMO_TEST_POSTGRES_15"] ?? "/usr/lib/postgresql/15/bin";
/** Why a test is skipped where it is not. */
export const NO_POSTGRES_15 = `PostgreSQL 15 is not at ${POSTGRES_15}; RITMO_TEST_POSTGRES_15 names another place`;

/** Starts it on loopback with its data in a folder; stopped at the end of `await using`. Its superuser is `ritmo`. */
export async function startPostgres15(folder: string, user: ServerUser | undefined, port: number) {
  const data = join(folder, "data");
  mkdirSync(data, { mode: 0o700 });
  if (user) for (const path of [folder, data]) chownSync(path, user.uid, user.gid);
  const made = runAs(user, [
    join(POSTGRES_15, "initdb"),
    "-D",
    data,
    "-U",
    "ritmo",
    "-A",
    "trust",
    "--no-sync",
    "-E",
    "UTF8",
  ]);
  if (made.status !== 0) throw new Error(`initdb failed: ${made.stderr}`);
  const options = ["-p", String(port), "-k", "", "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"];
  const child = startAs(user, [join(POSTGRES_15, "postgres"), "-D", data, ...options], {
    stdio: "ignore",
    cwd: folder,
  });
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  return {
    url: `postgres://ritmo@127.0.0.1:${port}/postgres`,
    async [Symbol.asyncDispose]() {
      child.kill("SIGINT");
      await ended;
    },
  };
}
