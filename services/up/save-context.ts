import { existsSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { type Context, type Contexts, readContexts, writeContexts } from "../cli/contexts.ts";

export interface SavedContext {
  name: string;
  /** False when the command line stays with another server that somebody chose. */
  current: boolean;
}

/**
 * Signs this machine's command line in: writes the context `local` beside those that are there. Another data folder's
 * `local` stays while that folder is there; ours is then named after the folder around it. A context that somebody
 * chose for another server stays current. Throws CliError when the file can't be read or written.
 */
export function saveContext(
  env: Record<string, string | undefined>,
  context: Context & { dataDir: string },
): SavedContext {
  const file = readContexts(env);
  const name = nameFor(file, context.dataDir);
  const chosen = file.current === undefined ? undefined : file.contexts[file.current];
  const current = chosen === undefined || chosen.dataDir !== undefined;
  const contexts = { ...file.contexts, [name]: { ...file.contexts[name], ...context } };
  writeContexts(env, { ...file, contexts, ...(current ? { current: name } : {}) });
  return { name, current };
}

function nameFor({ contexts }: Contexts, dataDir: string): string {
  const own = Object.keys(contexts).find((name) => contexts[name]?.dataDir === dataDir);
  if (own) return own;
  const around = basename(dirname(dataDir)).replaceAll(/[^A-Za-z0-9._-]+/g, "-") || "root";
  for (let n = 1; ; n++) {
    const name = n === 1 ? "local" : n === 2 ? `local-${around}` : `local-${around}-${n - 1}`;
    if (isFree(contexts[name])) return name;
  }
}

// The context of a data folder that is gone can't be used any more.
function isFree(held: Context | undefined): boolean {
  return held === undefined || (held.dataDir !== undefined && !existsSync(join(held.dataDir, "tokens.json")));
}
