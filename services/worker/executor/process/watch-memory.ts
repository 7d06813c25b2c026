import { readFileSync } from "node:fs";

// Where the kernel counts the processes it ended for want of memory: this worker's own group under cgroup 2, under
// cgroup 1, and the whole machine.
const COUNTERS = [
  { file: "/sys/fs/cgroup/memory.events", pattern: /^oom_kill (\d+)$/m },
  { file: "/sys/fs/cgroup/memory/memory.oom_control", pattern: /^oom_kill (\d+)$/m },
  { file: "/proc/vmstat", pattern: /^oom_kill (\d+)$/m },
];

/** How many processes the kernel has ended for want of memory, as far as it tells. */
export function countMemoryKills(): number {
  let most = 0;
  for (const { file, pattern } of COUNTERS) {
    try {
      most = Math.max(most, Number(pattern.exec(readFileSync(file, "latin1"))?.[1] ?? 0));
    } catch {
      // Not this kernel's way of counting.
    }
  }
  return most;
}
