import { sleep } from "../../../process/wait.ts";
import { findProcesses, markOf, type ProcessMark, type Tree } from "./find-processes.ts";

// How long KILL is repeated: what starts processes faster than they are found is caught by then, or not at all.
const INSIST_MS = 5_000;

/**
 * Ends every process of an attempt: TERM, up to the grace, then KILL. Answers those that could not be ended, such as
 * a process that waits in the kernel.
 */
export async function endTree(tree: Tree, graceMs: number): Promise<ProcessMark[]> {
  const untilMs = performance.now() + graceMs;
  if (graceMs > 0) {
    if ((await signalAll(tree, "SIGTERM")).length === 0) return [];
    for (let waitMs = 5; performance.now() < untilMs; waitMs = Math.min(250, waitMs * 2)) {
      if ((await findProcesses(tree)).length === 0) return [];
      await sleep(Math.min(waitMs, Math.max(1, untilMs - performance.now())));
    }
  }
  for (const giveUpAtMs = performance.now() + INSIST_MS; ; await sleep(20)) {
    const left = await signalAll(tree, "SIGKILL");
    if (left.length === 0 || performance.now() > giveUpAtMs) return left;
  }
}

async function signalAll(tree: Tree, signal: NodeJS.Signals): Promise<ProcessMark[]> {
  const found = await findProcesses(tree);
  const { leader } = tree;
  // The group at once, so that a shell does not go on with its next command when only the first is ended. Where
  // there is no /proc this is all that can be done.
  if (leader && (found.some(({ pid }) => pid === leader.pid) || process.platform !== "linux"))
    send(-leader.pid, signal);
  for (const { pid, startTicks } of found) if (markOf(pid)?.startTicks === startTicks) send(pid, signal);
  return found;
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It is gone, which is what was wanted.
  }
}
