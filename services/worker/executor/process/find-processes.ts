import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { setImmediate } from "node:timers/promises";

/** A process, told apart from a later one with the same number by when it started. */
export interface ProcessMark {
  pid: number;
  /** In clock ticks since the machine booted. */
  startTicks: number;
}

export interface Tree {
  leaseId: string;
  /** The shell of the step: it leads the session and the group. */
  leader: ProcessMark | undefined;
  /** The attempt's own folder. */
  folder: string;
}

interface Found extends ProcessMark {
  parent: number;
  session: number;
  hasTerminal: boolean;
  zombie: boolean;
}

/**
 * Every living process of an attempt, in a session of its own or not: those of the leader's session, those whose
 * environment carries the lease, those that work in its folder without a terminal, and all that descend from them.
 * Empty where there is no /proc.
 */
export async function findProcesses(tree: Tree): Promise<ProcessMark[]> {
  const all = await listProcesses();
  const leaderNow = all.get(tree.leader?.pid ?? -1);
  // Another process has the leader's number by now: then its session is not ours.
  const session = leaderNow && leaderNow.startTicks !== tree.leader?.startTicks ? -1 : (tree.leader?.pid ?? -1);
  const ours = new Set<number>();
  let looked = 0;
  for (const found of all.values()) {
    // What began before the leader, such as this worker, is not of its making.
    if (found.pid === process.pid || found.startTicks < (tree.leader?.startTicks ?? 0)) continue;
    if (found.session === session || carriesLease(found.pid, tree.leaseId) || worksIn(found, tree)) ours.add(found.pid);
    // The event loop has reports to send; a machine may have many thousand processes.
    if (++looked % 200 === 0) await setImmediate();
  }
  addDescendants(ours, all);
  return [...ours].map((pid) => all.get(pid) as Found).filter(({ zombie }) => !zombie);
}

/** The mark of a living process, if there is one of that number. */
export function markOf(pid: number): ProcessMark | undefined {
  const found = readProcess(pid);
  return found && { pid, startTicks: found.startTicks };
}

async function listProcesses(): Promise<Map<number, Found>> {
  const all = new Map<number, Found>();
  for (const name of readdirSafely("/proc")) {
    const found = /^\d+$/.test(name) ? readProcess(Number(name)) : undefined;
    if (found) all.set(found.pid, found);
    if (all.size % 500 === 499) await setImmediate();
  }
  return all;
}

function readdirSafely(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function readProcess(pid: number): Found | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The name stands in parentheses and may contain anything, also parentheses; see proc_pid_stat(5).
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return {
      pid,
      zombie: fields[0] === "Z" || fields[0] === "X",
      parent: Number(fields[1]),
      session: Number(fields[3]),
      hasTerminal: fields[4] !== "0",
      startTicks: Number(fields[19]),
    };
  } catch {
    return undefined;
  }
}

function carriesLease(pid: number, leaseId: string): boolean {
  try {
    const environ = readFileSync(`/proc/${pid}/environ`, "latin1");
    return `\0${environ}\0`.includes(`\0RITMO_LEASE_ID=${leaseId}\0`);
  } catch {
    return false;
  }
}

// A step may start something with an empty environment. A person's shell that looks around there has a terminal.
function worksIn(found: Found, tree: Tree): boolean {
  if (found.hasTerminal) return false;
  try {
    return `${readlinkSync(`/proc/${found.pid}/cwd`)}/`.startsWith(`${tree.folder}/`);
  } catch {
    return false;
  }
}

function addDescendants(ours: Set<number>, all: Map<number, Found>): void {
  for (let before = -1; before !== ours.size; ) {
    before = ours.size;
    for (const { pid, parent } of all.values()) if (ours.has(parent)) ours.add(pid);
  }
}
