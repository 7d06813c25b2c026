import { mkdir, open, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { markOf } from "./executor/process/find-processes.ts";

/** Another worker has the folder. */
export class WorkDirTaken extends Error {
  override readonly name = "WorkDirTaken";
}

/** Makes the work folder this process's own until disposed. Throws WorkDirTaken while another one lives in it. */
export async function lockWorkDir(workDir: string): Promise<AsyncDisposable> {
  await mkdir(workDir, { recursive: true, mode: 0o700 });
  const path = join(workDir, "worker.lock");
  const mine = JSON.stringify(markOf(process.pid) ?? { pid: process.pid, startTicks: 0 });
  for (let tries = 0; ; tries++) {
    try {
      const file = await open(path, "wx", 0o600);
      await file.writeFile(mine);
      await file.close();
      return { [Symbol.asyncDispose]: () => rm(path, { force: true }) };
    } catch (reason) {
      if ((reason as NodeJS.ErrnoException).code !== "EEXIST" || tries >= 3) throw reason;
    }
    const holder = await livingHolder(path);
    if (holder !== undefined) {
      throw new WorkDirTaken(
        `${workDir} is in use by the worker with process id ${holder}; give each its own RITMO_WORK_DIR`,
      );
    }
    await rm(path, { force: true });
  }
}

/** Whether a worker lives in a work folder, this one or another's. */
export async function livesInWorkDir(workDir: string): Promise<boolean> {
  return (await livingHolder(join(workDir, "worker.lock"))) !== undefined;
}

async function livingHolder(path: string): Promise<number | undefined> {
  try {
    const { pid, startTicks } = JSON.parse(await readFile(path, "utf8")) as { pid: number; startTicks: number };
    if (process.platform === "linux") return markOf(pid)?.startTicks === startTicks ? pid : undefined;
    process.kill(pid, 0);
    return pid;
  } catch {
    return undefined;
  }
}
