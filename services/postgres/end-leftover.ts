import { existsSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { join } from "node:path";
import { sleep } from "../process/wait.ts";
import { PostgresStartError } from "./postgres-start-error.ts";

/** Ends a postmaster that a crash of its parent left running on this data folder; removes a stale lock file. */
export async function endLeftover(data: string): Promise<void> {
  const lock = join(data, "postmaster.pid");
  if (!existsSync(lock)) return;
  const pid = Number(readFileSync(lock, "utf8").split("\n")[0]);
  for (let i = 0; i < 200 && isPostmasterOf(pid, data); i++) {
    process.kill(pid, i < 100 ? "SIGINT" : "SIGQUIT");
    await sleep(100);
  }
  if (isPostmasterOf(pid, data))
    throw new PostgresStartError(
      `Another PostgreSQL (process ${pid}) holds ${data} and does not end. Stop it, then start again.`,
    );
  rmSync(lock, { force: true });
}

function isPostmasterOf(pid: number, data: string): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    if (!stat.includes("(postgres)") || stat.split(") ")[1]?.startsWith("Z")) return false;
    return readlinkSync(`/proc/${pid}/cwd`) === data;
  } catch {
    return false;
  }
}
