import { mkdir } from "node:fs/promises";
import { join } from "node:path";

/** The folders of one attempt, all of them under its own. */
export interface Folders {
  root: string;
  workspace: string;
  home: string;
  tmp: string;
  /** What the executor writes for itself. */
  script: string;
}

const LEASE_ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Where an attempt's folders are. Throws when the id is not one that may become a path. */
export function foldersOf(workDir: string, leaseId: string): Folders {
  if (!LEASE_ID.test(leaseId)) throw new Error(`${JSON.stringify(leaseId)} is not a lease id`);
  const root = join(workDir, "attempts", leaseId);
  const inRoot = (name: string) => join(root, name);
  return {
    root,
    workspace: inRoot("workspace"),
    home: inRoot("home"),
    tmp: inRoot("tmp"),
    script: inRoot("script"),
  };
}

/** Makes them, fresh and closed to other users; only the one around them where nothing will be in the others. */
export async function makeFolders(folders: Folders, { onlyRoot }: { onlyRoot: boolean }): Promise<void> {
  await mkdir(folders.root, { recursive: true, mode: 0o700 });
  if (onlyRoot) return;
  const { workspace, home, tmp, script } = folders;
  await Promise.all([workspace, home, tmp, script].map((folder) => mkdir(folder, { mode: 0o700 })));
}
