import { constants } from "node:fs";
import { lstat, mkdir, open } from "node:fs/promises";
import { join } from "node:path";
import { CliError, EXIT } from "../exit-codes.ts";

/** The parts of an artifact's path; throws CliError for one that could name anything outside of its folder. */
export function safePath(path: string): string[] {
  const parts = path.split("/");
  const bad = parts.some(
    (part) => part === "" || part === "." || part === ".." || part.includes("\0") || part.length > 255,
  );
  const foreign = process.platform === "win32" && /[\\:]/.test(path);
  if (!bad && !foreign) return parts;
  throw new CliError(
    EXIT.error,
    `The artifact ${JSON.stringify(path)} has a path that leads out of its folder; nothing was fetched.`,
  );
}

/**
 * Makes the folders of a path below `to` and answers the last of them. Each must be a real folder: a symbolic link on
 * the way could lead anywhere.
 */
export async function makeFolders(to: string, parts: string[]): Promise<string> {
  await mkdir(to, { recursive: true });
  let folder = to;
  for (const part of parts) {
    folder = join(folder, part);
    await mkdir(folder).catch((reason: NodeJS.ErrnoException) => {
      if (reason.code !== "EEXIST") throw reason;
    });
    if (!(await lstat(folder)).isDirectory()) {
      throw new CliError(
        EXIT.error,
        `${folder} is in the way: it is not a folder. Remove it, or choose another with --to.`,
      );
    }
  }
  return folder;
}

/** Opens a file for writing that is not a link, keeping what is in it. */
export function openPlain(path: string) {
  return open(path, constants.O_RDWR | constants.O_CREAT | (constants.O_NOFOLLOW ?? 0), 0o600);
}
