import { readFileSync, statfsSync } from "node:fs";
import { arch, availableParallelism, hostname, platform, totalmem } from "node:os";

/** What a worker found out about where it runs. */
export interface Machine {
  hostname: string;
  os: string;
  arch: string;
  cpus: number;
  memoryBytes: number;
  diskBytes: number;
  /** Such as `docker 28.2`; empty without one. */
  containerEngine: string;
}

/** Looks at the machine, and at what the worker's control group leaves it of the machine. */
export function detectMachine(workDir: string, containerEngine: string): Machine {
  const disk = statfsSync(workDir);
  return {
    hostname: hostname(),
    os: platform() === "win32" ? "windows" : platform(),
    arch: arch() === "x64" ? "amd64" : arch(),
    cpus: Math.max(1, Math.min(availableParallelism(), Math.ceil(cpuQuota() ?? Number.POSITIVE_INFINITY))),
    memoryBytes: Math.min(totalmem(), memoryLimit() ?? Number.POSITIVE_INFINITY),
    diskBytes: disk.blocks * disk.bsize,
    containerEngine,
  };
}

/** CPUs by the quota of control groups 2 or 1; undefined without one. */
function cpuQuota(): number | undefined {
  const [max, period] = readNumbers("/sys/fs/cgroup/cpu.max");
  if (max && period) return max / period;
  const [quota] = readNumbers("/sys/fs/cgroup/cpu/cpu.cfs_quota_us");
  const [every] = readNumbers("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
  return quota && quota > 0 && every ? quota / every : undefined;
}

function memoryLimit(): number | undefined {
  const [two] = readNumbers("/sys/fs/cgroup/memory.max");
  if (two) return two;
  const [one] = readNumbers("/sys/fs/cgroup/memory/memory.limit_in_bytes");
  return one || undefined;
}

/** The numbers in a file; `max`, and a file that isn't there, give none. */
function readNumbers(file: string): (number | undefined)[] {
  try {
    return readFileSync(file, "latin1")
      .trim()
      .split(/\s+/)
      .map((word) => (/^-?\d+$/.test(word) ? Number(word) : undefined));
  } catch {
    return [];
  }
}
