import { createHash } from "node:crypto";
import { constants, createReadStream } from "node:fs";
import { open } from "node:fs/promises";

export interface FileFacts {
  sizeBytes: number;
  sha256: Uint8Array;
  mode: number;
}

/** Reads a file once for its size, digest and mode. A symbolic link is refused, and a FIFO is not waited on. */
export async function digestFile(path: string): Promise<FileFacts> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const stat = await file.stat();
    if (!stat.isFile()) throw new Error(`${path} is not a file any more`);
    const hash = createHash("sha256");
    let sizeBytes = 0;
    for await (const bytes of createReadStream("", { fd: file, autoClose: false, highWaterMark: 1024 * 1024 })) {
      hash.update(bytes as Buffer);
      sizeBytes += (bytes as Buffer).length;
    }
    return { sizeBytes, sha256: hash.digest(), mode: stat.mode & 0o777 };
  } finally {
    await file.close();
  }
}
