import { delimiter, dirname, join } from "node:path";

const NPM_OWN = /[\\/]@npmcli[\\/]run-script[\\/]lib[\\/]node-gyp-bin$/;

/**
 * The PATH of whoever typed `npm start`: without what npm, and the start under the pinned Node, put in front of it. A
 * step would find Ritmo's own node, tsc or vitest otherwise, and work here and nowhere else.
 */
export function outerPath(path: string, checkout: string): string {
  const own = new Set(foldersUpFrom(checkout).map((folder) => join(folder, "node_modules", ".bin")));
  const entries = path.split(delimiter);
  const first = entries.findIndex((entry) => !own.has(entry) && !NPM_OWN.test(entry));
  return first < 0 ? "" : entries.slice(first).join(delimiter);
}

function foldersUpFrom(folder: string): string[] {
  const parent = dirname(folder);
  return parent === folder ? [folder] : [folder, ...foldersUpFrom(parent)];
}
