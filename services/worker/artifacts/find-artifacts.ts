import { readdir } from "node:fs/promises";
import { join } from "node:path";
import ignore from "ignore";

export interface FoundArtifacts {
  /** Relative paths with slashes, in order. */
  files: string[];
  /** Symbolic links and other things that are no files, though a glob names them. */
  skipped: string[];
  /** Globs that no file matches. */
  unmatched: string[];
}

/**
 * Looks for the files that globs name, as git's ignore files do it: later ones win, `!` takes back, a folder stands
 * for all in it. Links are not followed, so nothing outside the workspace is found; `.git` is never looked into.
 */
export async function findArtifacts(workspace: string, globs: string[]): Promise<FoundArtifacts> {
  const all = ignore().add(globs);
  const single = globs.filter((glob) => !glob.startsWith("!")).map((glob) => ({ glob, rule: ignore().add(glob) }));
  const matched = new Set<string>();
  const found: FoundArtifacts = { files: [], skipped: [], unmatched: [] };
  for await (const { path, isFile } of walk(workspace, "")) {
    for (const { glob, rule } of single) if (!matched.has(glob) && rule.ignores(path)) matched.add(glob);
    if (!all.ignores(path)) continue;
    (isFile ? found.files : found.skipped).push(path);
  }
  found.files.sort();
  found.skipped.sort();
  found.unmatched = single.filter(({ glob }) => !matched.has(glob)).map(({ glob }) => glob);
  return found;
}

async function* walk(root: string, folder: string): AsyncGenerator<{ path: string; isFile: boolean }> {
  const entries = await readdir(join(root, folder), { withFileTypes: true }).catch(() => []);
  for (const entry of entries) {
    const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
    if (entry.isDirectory()) {
      if (path !== ".git") yield* walk(root, path);
    } else yield { path, isFile: entry.isFile() };
  }
}
