import { chownSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PostgresStartError } from "./postgres-start-error.ts";
import { runAs, type ServerUser } from "./server-user.ts";

/** The major version of the binaries that npm installs. */
const MAJOR = "18";

/**
 * Makes the data folder unless it is there. It appears whole or not at all, so that a first start may be killed at any
 * moment. Throws PostgresStartError, also for data of another major version, which is left as it is.
 */
export function makeData(folder: string, bin: string, password: string, user: ServerUser | undefined): string {
  const data = join(folder, "data");
  if (existsSync(join(data, "PG_VERSION"))) return refuseOtherVersion(data);
  if (existsSync(data) && readdirSync(data).length > 0) {
    throw new PostgresStartError(
      `${data} holds something else than PostgreSQL's data. Move it away, then start again.`,
    );
  }
  const making = join(folder, "data.new");
  const passwordFile = join(folder, "initial-password");
  rmSync(making, { recursive: true, force: true });
  writeFileSync(passwordFile, password, { mode: 0o600 });
  if (user) chownSync(passwordFile, user.uid, user.gid);
  const options = [`--pwfile=${passwordFile}`, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"];
  const done = runAs(user, [join(bin, "initdb"), "-D", making, "-U", "ritmo", ...options]);
  rmSync(passwordFile, { force: true });
  if (done.status !== 0) {
    const said = done.stderr?.toString().trim() || String(done.error);
    const cause = said.split("\n").findLast((line) => line.includes("error:")) ?? said.split("\n").at(-1);
    throw new PostgresStartError(`PostgreSQL could not make its data folder ${data}: ${cause}`);
  }
  renameSync(making, data);
  return data;
}

function refuseOtherVersion(data: string): string {
  const version = readFileSync(join(data, "PG_VERSION"), "utf8").trim();
  if (version === MAJOR) return data;
  throw new PostgresStartError(
    `The data in ${data} is of PostgreSQL ${version}; this Ritmo carries ${MAJOR}. Move it with pg_dump and pg_restore, or start with another RITMO_DATA_DIR.`,
  );
}
