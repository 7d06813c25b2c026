import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { chmod, type FileHandle, lstat, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import type { Client } from "@connectrpc/connect";
import type { Artifact, ArtifactService } from "@ritmo/contract/ritmo/artifact/v1/artifact_pb.js";
import { CliError, EXIT } from "../exit-codes.ts";
import { type KeepReading, keepReading } from "../keep-reading.ts";
import { makeFolders, openPlain, safePath } from "./safe-path.ts";

interface How {
  to: string;
  force: boolean;
  keep: KeepReading;
}

/**
 * Fetches one artifact to its path under a folder: into a part file beside it, resumed from where an earlier try
 * ended, checked, given its mode, renamed. A file that is there already stays unless it differs and force is given.
 */
export async function fetchFile(
  client: Client<typeof ArtifactService>,
  artifact: Artifact,
  { to, force, keep }: How,
): Promise<"fetched" | "there"> {
  const parts = safePath(artifact.path);
  const name = parts.pop() ?? "";
  const folder = await makeFolders(to, parts);
  const path = join(folder, name);
  if (await isThere(path, artifact, force)) return "there";
  // Two files of the same content may be under way at once, so the name alone decides.
  const part = join(
    folder,
    `.${createHash("sha256").update(`${artifact.sha256} ${name}`).digest("hex").slice(0, 24)}.ritmo-part`,
  );
  await fillPart(client, artifact, part, keep);
  // No bit beyond reading, writing and running: a stranger's file gets no rights of its owner.
  await chmod(part, artifact.mode & 0o777 || 0o644);
  await rename(part, path);
  return "fetched";
}

async function isThere(path: string, { sha256 }: Artifact, force: boolean): Promise<boolean> {
  const found = await lstat(path).catch(() => undefined);
  if (!found) return false;
  if (found.isFile() && (await digestOf(path)) === sha256) return true;
  if (found.isDirectory())
    throw new CliError(EXIT.error, `${path} is a folder, where a file is to be. Choose another place with --to.`);
  if (!force)
    throw new CliError(
      EXIT.error,
      `${path} is there and differs. Replace it with --force, or choose another place with --to.`,
    );
  return false;
}

async function digestOf(path: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path), hash);
  return hash.digest("hex");
}

async function fillPart(
  client: Client<typeof ArtifactService>,
  artifact: Artifact,
  part: string,
  keep: KeepReading,
): Promise<void> {
  const file = await openPlain(part);
  try {
    for (const _try of ["resumed", "afresh"]) {
      const resumed = await fill(client, artifact, file, keep);
      if (resumed.digest === artifact.sha256) return;
      await file.truncate(0);
      // What an earlier try left may be damaged; what was fetched whole and is wrong will be wrong again.
      if (resumed.from === 0) break;
    }
  } finally {
    await file.close();
  }
  await rm(part, { force: true });
  throw new CliError(
    EXIT.error,
    `What the server sent of ${artifact.path} has another SHA-256 than promised; it was thrown away. Tell who runs the server.`,
  );
}

async function fill(
  client: Client<typeof ArtifactService>,
  { id, sizeBytes }: Artifact,
  file: FileHandle,
  keep: KeepReading,
): Promise<{ from: number; digest: string }> {
  const size = Number(sizeBytes);
  const hash = createHash("sha256");
  const from = await takeUp(file, size, hash);
  let at = from;
  const open = (signal: AbortSignal) => client.downloadArtifact({ id, offset: BigInt(at), length: 0n }, { signal });
  if (at < size) {
    for await (const { data, offset } of keepReading(open, keep)) {
      if (data.length > 0 && Number(offset) !== at)
        throw new CliError(EXIT.error, `The server sent bytes from ${offset} where ${at} was due.`);
      const piece = data.subarray(0, size - at);
      await file.write(piece, 0, piece.length, at);
      hash.update(piece);
      at += piece.length;
      if (at >= size) break;
    }
  }
  if (at < size) throw new CliError(EXIT.interrupted, "Stopped; the same command resumes it.");
  return { from, digest: hash.digest("hex") };
}

/** Hashes what is there of the file and answers how much that is; too much is as good as nothing. */
async function takeUp(file: FileHandle, size: number, hash: Hash): Promise<number> {
  const { size: have } = await file.stat();
  if (have > size) await file.truncate(0);
  if (have === 0 || have > size) return 0;
  const buffer = Buffer.alloc(256 * 1024);
  let at = 0;
  while (at < have) {
    const { bytesRead } = await file.read(buffer, 0, buffer.length, at);
    if (bytesRead === 0) break;
    hash.update(buffer.subarray(0, bytesRead));
    at += bytesRead;
  }
  return at;
}
