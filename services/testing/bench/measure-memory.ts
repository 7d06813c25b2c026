import { readFileSync } from "node:fs";

/** The most memory that a process had resident so far, in bytes (Linux). */
export function peakMemoryBytes(pid: number): number {
  return readKib(pid, "VmHWM") * 1024;
}

/** What it has resident now. */
export function memoryBytes(pid: number): number {
  return readKib(pid, "VmRSS") * 1024;
}

/** The processor time that it used so far, in seconds, by the usual 100 ticks. */
export function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function readKib(pid: number, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0);
}
