import { mkdir, open, rename } from "node:fs/promises";
import { dirname } from "node:path";

/** Renames a file to its place and makes sure that both survive a power cut. */
export async function moveInto(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true });
  await rename(from, to);
  await syncPath(dirname(to));
}

/** Asks the disk to keep what is written. */
export async function syncPath(path: string): Promise<void> {
  await using file = await open(path, "r");
  await file.sync();
}

/** Undefined for a path that isn't there; anything else is thrown on. */
export function unlessMissing(reason: unknown): undefined {
  const code = (reason as NodeJS.ErrnoException).code;
  if (code !== "ENOENT" && code !== "ENOTDIR") throw reason;
  return undefined;
}
