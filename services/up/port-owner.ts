import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** Who listens on a TCP port of this machine, as far as /proc lets us see; undefined where it does not. */
export function portOwner(port: number): { pid: number; name: string } | undefined {
  const inodes = new Set(["/proc/net/tcp", "/proc/net/tcp6"].flatMap((path) => listeningInodes(path, port)));
  if (inodes.size === 0) return undefined;
  for (const pid of numbersIn("/proc")) {
    if (holdsAny(pid, inodes)) return { pid: Number(pid), name: nameOf(pid) };
  }
  return undefined;
}

// proc_net_tcp: the second column is address:port in hex, the fourth the state (0A listens), the tenth the inode.
function listeningInodes(path: string, port: number): string[] {
  const hex = port.toString(16).toUpperCase().padStart(4, "0");
  return readLines(path)
    .map((line) => line.trim().split(/\s+/))
    .filter((columns) => columns[1]?.endsWith(`:${hex}`) && columns[3] === "0A")
    .map((columns) => columns[9] as string);
}

function holdsAny(pid: string, inodes: Set<string>): boolean {
  return numbersIn(`/proc/${pid}/fd`).some((fd) => {
    try {
      const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1];
      return inode !== undefined && inodes.has(inode);
    } catch {
      return false;
    }
  });
}

function nameOf(pid: string): string {
  return readLines(`/proc/${pid}/comm`)[0] ?? "a process";
}

function numbersIn(folder: string): string[] {
  try {
    return readdirSync(folder).filter((name) => /^\d+$/.test(name));
  } catch {
    return [];
  }
}

function readLines(path: string): string[] {
  try {
    return readFileSync(path, "utf8").split("\n");
  } catch {
    return [];
  }
}
