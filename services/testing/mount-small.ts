import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync } from "node:fs";

/** A file system of its own at a new folder, in memory and so small (`24m`); undefined where one can't be mounted. */
export function mountSmall(place: string, size: string): Disposable | undefined {
  mkdirSync(place);
  if (process.getuid?.() !== 0) return undefined;
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${size}`, "tmpfs", place], { stdio: "ignore" });
  } catch {
    return undefined;
  }
  chmodSync(place, 0o755);
  return { [Symbol.dispose]: () => void execFileSync("umount", ["--lazy", place]) };
}
