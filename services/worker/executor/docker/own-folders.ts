import { execFile } from "node:child_process";
import { buffer } from "node:stream/consumers";
import { promisify } from "node:util";
import type { Folders } from "../../workspace/make-folders.ts";
import { type Container, callEngine, type Engine } from "./engine.ts";

/** Who runs the commands where the image names nobody: nobody that this machine knows. */
const STRANGER = "10001:10001";

/**
 * The user of a container. Within a rootless engine its root is this worker's own user; a worker that is not root has
 * no other user whose files it could remove; otherwise it is the image's, and not root unless the image says so.
 */
export function userOf(engine: Engine, imageUser: string): string {
  if (engine.rootless) return "0:0";
  const uid = process.getuid?.() ?? 0;
  if (uid !== 0) return `${uid}:${process.getgid?.() ?? uid}`;
  return imageUser || STRANGER;
}

/** Gives the folders that the commands write to, with all that is in them, to the container's user. */
export async function ownFolders(container: Container, user: string, folders: Folders): Promise<void> {
  if (process.getuid?.() !== 0) return;
  const [name = "", group] = user.split(":");
  const known = /^\d+$/.test(name) ? { uid: name, gid: name } : await lookUp(container, name);
  if (!known || known.uid === "0") return;
  const owner = `${known.uid}:${group && /^\d+$/.test(group) ? group : known.gid}`;
  const { workspace, home, tmp, script } = folders;
  await promisify(execFile)("chown", ["-RhP", "--", owner, workspace, home, tmp, script]);
}

/** A user's numbers, from the container's own /etc/passwd. */
async function lookUp(container: Container, name: string): Promise<{ uid: string; gid: string } | undefined> {
  const get = (abortSignal: AbortSignal) => container.getArchive({ path: "/etc/passwd", abortSignal });
  try {
    const archive = await buffer(await callEngine("read /etc/passwd", get));
    // A tar file of one file: a head of 512 bytes with the size in octal at 124 (POSIX.1-2001, ustar), then its bytes.
    const size = Number.parseInt(archive.toString("latin1", 124, 136), 8);
    const lines = archive.toString("utf8", 512, 512 + size).split("\n");
    const [, , uid, gid] = lines.map((line) => line.split(":")).find(([first]) => first === name) ?? [];
    return uid !== undefined && gid !== undefined ? { uid, gid } : undefined;
  } catch {
    return undefined;
  }
}
