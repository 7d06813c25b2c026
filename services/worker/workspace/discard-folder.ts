import { chmod, mkdir, readdir, rename, rm } from "node:fs/promises";
import { basename, join } from "node:path";

/**
 * Takes an attempt's folder away at once and removes it; what can't be removed now stays in the trash for a later
 * sweep. Never throws: a folder that stays is no reason for an attempt to fail.
 */
export async function discardFolder(workDir: string, folder: string): Promise<void> {
  const trash = join(workDir, "trash");
  await mkdir(trash, { recursive: true, mode: 0o700 });
  const away = join(trash, `${basename(folder)}-${process.hrtime.bigint()}`);
  try {
    await rename(folder, away);
  } catch (reason) {
    if ((reason as NodeJS.ErrnoException).code === "ENOENT") return;
    await removeTree(folder);
    return;
  }
  await removeTree(away);
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
