import { execFile } from "node:child_process";
import { chmod, mkdir, readdir, rename, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { sleep } from "../../process/wait.ts";

// Removals that are due within this time share one process, which costs less than each file's trips between threads.
const GATHER_MS = 250;
const due = new Map<string, { paths: string[]; removed: Promise<void> }>();

/**
 * Takes an attempt's folder away at once and removes it soon, or `now` where its room is wanted; what can't be removed
 * then stays in the trash for a later sweep. Never throws: a folder that stays is no reason for an attempt to fail.
 */
export async function discardFolder(workDir: string, folder: string, { now = false } = {}): Promise<void> {
  const trash = join(workDir, "trash");
  const away = join(trash, `${basename(folder)}-${process.hrtime.bigint()}`);
  try {
    await rename(folder, away).catch(async () => {
      await mkdir(trash, { recursive: true, mode: 0o700 });
      await rename(folder, away);
    });
  } catch (reason) {
    if ((reason as NodeJS.ErrnoException).code !== "ENOENT") await removeTree(folder);
    return;
  }
  await (now ? removeAll([away]) : removeSoon(trash, away));
}

function removeSoon(trash: string, path: string): Promise<void> {
  const gathering = due.get(trash) ?? { paths: [], removed: sleep(GATHER_MS).then(() => removeDue(trash)) };
  due.set(trash, gathering);
  gathering.paths.push(path);
  return gathering.removed;
}

async function removeDue(trash: string): Promise<void> {
  const paths = due.get(trash)?.paths ?? [];
  due.delete(trash);
  await removeAll(paths);
}

async function removeAll(paths: string[]): Promise<void> {
  if (paths.length === 0 || (await removeByProcess(paths))) return;
  for (const path of paths) await removeTree(path);
}

/** False when something may be left. */
function removeByProcess(paths: string[]): Promise<boolean> {
  return new Promise((resolve) => execFile("rm", ["-rf", "--", ...paths], (reason) => resolve(reason === null)));
}

/** Removes what could not be removed before. Answers what still is there. */
export async function emptyTrash(workDir: string): Promise<string[]> {
  const trash = join(workDir, "trash");
  const names = await readdir(trash).catch(() => []);
  const left: string[] = [];
  for (const name of names) if (!(await removeTree(join(trash, name)))) left.push(join(trash, name));
  return left;
}

/** True when nothing is left. Folders that a step closed against writing are opened first. */
async function removeTree(folder: string): Promise<boolean> {
  const remove = () => rm(folder, { recursive: true, force: true, maxRetries: 2 }).then(() => true);
  return remove().catch(async () => {
    await openFolders(folder);
    return remove().catch(() => false);
  });
}

async function openFolders(folder: string): Promise<void> {
  await chmod(folder, 0o700).catch(() => {});
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  for (const entry of entries) if (entry.isDirectory()) await openFolders(join(folder, entry.name));
}
