import { lstat, mkdir, rename } from "node:fs/promises";
import { join } from "node:path";

/** The path can't be where a file of the workspace goes. */
export class PathRefused extends Error {
  override readonly name = "PathRefused";
}

/**
 * Moves a file to a relative path within a folder, making the folders on the way. No `..`, no absolute path and no
 * symbolic link on the way leads out of it; what was at the place is replaced, also when it was a link.
 */
export async function placeFile(file: string, folder: string, path: string): Promise<void> {
  const names = path.split("/");
  const last = names.pop();
  const bad = (name: string | undefined) => !name || name === "." || name === ".." || name.includes("\0");
  if (path.startsWith("/") || path.includes("\\") || bad(last) || names.some(bad)) {
    throw new PathRefused(`${JSON.stringify(path)} is not a relative path of a file`);
  }
  let at = folder;
  for (const name of names) {
    at = join(at, name);
    await mkdir(at).catch((reason: NodeJS.ErrnoException) => {
      if (reason.code !== "EEXIST") throw reason;
    });
    if (!(await lstat(at)).isDirectory()) {
      throw new PathRefused(`${JSON.stringify(path)} leads through something that is not a folder`);
    }
  }
  await rename(file, join(at, last as string));
}
