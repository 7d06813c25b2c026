import { chmodSync, existsSync, mkdirSync, realpathSync } from "node:fs";
import { UpProblem } from "./up-problem.ts";

/**
 * Makes the data folder where it is new, open to be passed through by PostgreSQL's own user, and answers its path
 * without links. What is secret in it has a mode of its own. Throws UpProblem.
 */
export function prepareFolder(dataDir: string): string {
  try {
    if (!existsSync(dataDir)) {
      mkdirSync(dataDir, { recursive: true });
      chmodSync(dataDir, 0o755);
    }
    mkdirSync(dataDir, { recursive: true });
    return realpathSync(dataDir);
  } catch (reason) {
    throw unwritable(dataDir, reason as NodeJS.ErrnoException);
  }
}

/** Says why nothing can be written to the data folder. */
export function unwritable(dataDir: string, { code }: NodeJS.ErrnoException): UpProblem {
  const why =
    code === "EEXIST" || code === "ENOTDIR" ? "it is not a folder" : code === "ENOSPC" ? "the disk is full" : code;
  return new UpProblem(
    `The data folder ${dataDir} can't be written: ${why}. Make it writable, or name another one in RITMO_DATA_DIR.`,
  );
}
