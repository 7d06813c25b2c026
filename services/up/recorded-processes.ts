import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { sleep } from "../process/wait.ts";
import { identifyProcess, isStillRunning, type ProcessIdentity } from "./process-identity.ts";

interface RecordedProcess extends ProcessIdentity {
  name: string;
}

/** The processes that were started and not seen to end, kept in a file, so that a later start knows them. */
export interface RecordedProcesses {
  add(name: string, pid: number): void;
  remove(pid: number): void;
  /** Ends what an earlier, killed start left running; answers the names. Each of them leads a process group. */
  endLeftovers(): Promise<string[]>;
}

export function openRecordedProcesses(path: string): RecordedProcesses {
  let processes = read(path);
  const save = () => {
    writeFileSync(`${path}.new`, `${JSON.stringify(processes, null, 2)}\n`, { mode: 0o600 });
    renameSync(`${path}.new`, path);
  };
  return {
    add(name, pid) {
      const identity = identifyProcess(pid);
      if (!identity) return;
      processes.push({ name, ...identity });
      save();
    },
    remove(pid) {
      processes = processes.filter((p) => p.pid !== pid);
      save();
    },
    async endLeftovers() {
      const left = processes.filter(isStillRunning);
      for (const { pid } of left) killGroup(pid);
      while (left.some(isStillRunning)) await sleep(20);
      processes = [];
      save();
      return left.map((p) => p.name);
    },
  };
}

/** Ends a process group at once; harmless when it is gone. */
export function killGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // Gone already.
  }
}

function read(path: string): RecordedProcess[] {
  try {
    const found: unknown = JSON.parse(readFileSync(path, "utf8"));
    return Array.isArray(found) ? (found as RecordedProcess[]).filter((p) => Number.isInteger(p.pid) && p.pid > 1) : [];
  } catch {
    return [];
  }
}
