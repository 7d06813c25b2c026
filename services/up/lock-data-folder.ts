import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { unwritable } from "./prepare-folder.ts";
import { identifyProcess, isStillRunning, type ProcessIdentity } from "./process-identity.ts";
import { UpProblem } from "./up-problem.ts";

interface Holder extends ProcessIdentity {
  /** Absent until the ports are known. */
  address?: string;
}

export interface DataFolderLock {
  /** Where this process is reached, for whoever finds the folder locked. */
  tell(address: string): void;
  release(): void;
}

/**
 * Makes this process the only one that works on a data folder. What a killed process left is taken over. Throws
 * UpProblem when another one is alive, or the folder can't be written.
 */
export function lockDataFolder(dataDir: string): DataFolderLock {
  const path = join(dataDir, "lock");
  const mine = join(dataDir, `lock.${process.pid}`);
  const self = identifyProcess(process.pid) as ProcessIdentity;
  const write = (holder: Holder) => writeFileSync(mine, JSON.stringify(holder), { mode: 0o644 });
  try {
    write(self);
  } catch (reason) {
    throw unwritable(dataDir, reason as NodeJS.ErrnoException);
  }
  try {
    // A link appears with its content or not at all, and only one of two makes it.
    while (!tryLink(mine, path)) removeStale(path, mine);
  } finally {
    rmSync(mine, { force: true });
  }
  return {
    tell(address) {
      write({ ...self, address });
      renameSync(mine, path);
    },
    release() {
      rmSync(path, { force: true });
    },
  };
}

function tryLink(mine: string, path: string): boolean {
  try {
    linkSync(mine, path);
    return true;
  } catch (reason) {
    if ((reason as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw reason;
  }
}

// Moved away before it is looked at again: of two that find a stale lock, one must not remove the other's new one.
function removeStale(path: string, mine: string): void {
  const seen = read(path);
  if (seen && isStillRunning(seen)) throw running(seen);
  const away = `${mine}.stale`;
  try {
    renameSync(path, away);
  } catch {
    return;
  }
  const moved = read(away);
  if (moved && isStillRunning(moved)) {
    tryLink(away, path);
    rmSync(away, { force: true });
    throw running(moved);
  }
  rmSync(away, { force: true });
}

function read(path: string): Holder | undefined {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as Holder;
  } catch {
    return undefined;
  }
}

function running({ pid, address }: Holder): UpProblem {
  return new UpProblem(
    `Ritmo is already running on this data folder: process ${pid}${address ? `, ${address}` : ""}. Stop it (Ctrl-C there, or kill ${pid}), or start with another RITMO_DATA_DIR.`,
  );
}
