import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { platform } from "node:os";

/** A process as it can be told apart from a later one of the same number. */
export interface ProcessIdentity {
  pid: number;
  /** When it started, in whatever words the system has for it. */
  startedAt: string;
}

/** The process that has this number now; undefined when none has, or it is dead and only waits to be counted. */
export function identifyProcess(pid: number): ProcessIdentity | undefined {
  const startedAt = platform() === "linux" ? fromProc(pid) : fromPs(pid);
  return startedAt === undefined ? undefined : { pid, startedAt };
}

export function isStillRunning(who: ProcessIdentity): boolean {
  return identifyProcess(who.pid)?.startedAt === who.startedAt;
}

// proc(5): field 3 is the state, field 22 the start in ticks since boot; the name between them may hold anything.
function fromProc(pid: number): string | undefined {
  try {
    const fields = (readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1) ?? "").split(" ");
    if (fields[0] === "Z" || fields[0] === "X") return undefined;
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    return `${fields[19]}@${boot}`;
  } catch {
    return undefined;
  }
}

function fromPs(pid: number): string | undefined {
  const { stdout } = spawnSync("ps", ["-o", "lstart=", "-p", String(pid)], { encoding: "utf8" });
  return stdout?.trim() || undefined;
}
