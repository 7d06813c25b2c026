/**
 * The file of contexts: $XDG_CONFIG_HOME/ritmo/contexts.json (else ~/.config/ritmo/contexts.json), mode 0600 in a
 * folder of mode 0700, written whole under another name and renamed. Its format, which `ritmo up` writes too:
 *
 * {
 *   "current": "local",
 *   "contexts": {
 *     "local": { "server": "http://127.0.0.1:7480", "token": "rt_…", "dataDir": "/abs/.ritmo" }
 *   }
 * }
 *
 * `current` names the context that is used when nobody says, and may be absent. Of a context only `server` must be
 * there; `token` is absent when signed out; `dataDir` only says which data folder a local server has. Fields that
 * are not known are kept.
 */
import { randomBytes } from "node:crypto";
import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { CliError, EXIT } from "./exit-codes.ts";

export interface Context {
  server: string;
  token?: string;
  dataDir?: string;
}

export interface Contexts {
  current?: string;
  contexts: Record<string, Context>;
}

/** Where the file is, for this environment. */
export function contextsPath(env: Record<string, string | undefined>): string {
  const base = env["XDG_CONFIG_HOME"] || join(env["HOME"] || homedir(), ".config");
  return join(base, "ritmo", "contexts.json");
}

/** Reads the file; none is as good as an empty one. Throws CliError when it can't be read or is not of this format. */
export function readContexts(env: Record<string, string | undefined>): Contexts {
  const path = contextsPath(env);
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (reason) {
    if ((reason as NodeJS.ErrnoException).code === "ENOENT") return { contexts: noContexts() };
    throw new CliError(EXIT.error, `The file of contexts can't be read: ${(reason as Error).message}`);
  }
  const found = parse(text);
  if (found) return found;
  throw new CliError(
    EXIT.error,
    `The file of contexts ${path} is damaged. Mend it, or remove it and sign in again with \`ritmo auth login\`.`,
  );
}

/** Without a prototype, so that no name finds what every object has. */
function noContexts(): Contexts["contexts"] {
  return Object.create(null);
}

function parse(text: string): Contexts | undefined {
  try {
    const value = JSON.parse(text) as Contexts;
    const sound = Object.values(value.contexts).every(
      (c) => typeof c.server === "string" && ["string", "undefined"].includes(typeof c.token),
    );
    return sound ? { ...value, contexts: Object.assign(noContexts(), value.contexts) } : undefined;
  } catch {
    return undefined;
  }
}

/** Writes the file whole, readable by its owner alone. */
export function writeContexts(env: Record<string, string | undefined>, contexts: Contexts): void {
  const path = contextsPath(env);
  const beside = `${path}.${randomBytes(6).toString("hex")}`;
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  try {
    writeFileSync(beside, `${JSON.stringify(contexts, null, 2)}\n`, { mode: 0o600, flag: "wx" });
    chmodSync(beside, 0o600);
    renameSync(beside, path);
  } catch (reason) {
    rmSync(beside, { force: true });
    throw new CliError(EXIT.error, `The file of contexts can't be written: ${(reason as Error).message}`);
  }
}
