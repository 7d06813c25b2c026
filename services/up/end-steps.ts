import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { sep } from "node:path";
import { sleep } from "../process/wait.ts";

const PATIENCE_MS = 5_000;

/**
 * Ends every process that was born of a step: those that stand in a folder, or whose environment names one, under the
 * worker's folder. For what a worker that had to be killed could not end itself. Where there is no /proc it does nothing.
 */
export async function endSteps(workDir: string): Promise<void> {
  for (const end = Date.now() + PATIENCE_MS; Date.now() < end; await sleep(50)) {
    const left = processesUnder(workDir);
    if (left.length === 0) return;
    for (const pid of left) tryKill(pid);
  }
}

function processesUnder(workDir: string): number[] {
  return pids().filter((pid) => pid !== process.pid && (standsIn(pid, workDir) || namesIn(pid, workDir)));
}

function pids(): number[] {
  try {
    return readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name))
      .map(Number);
  } catch {
    return [];
  }
}

function standsIn(pid: number, workDir: string): boolean {
  try {
    return readlinkSync(`/proc/${pid}/cwd`).startsWith(workDir + sep);
  } catch {
    return false;
  }
}

function namesIn(pid: number, workDir: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/environ`, "latin1").includes(`\0RITMO_WORKSPACE=${workDir}${sep}`);
  } catch {
    return false;
  }
}

function tryKill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It ended by itself.
  }
}
