import { randomUUID } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { type FileHandle, link, mkdir, open, opendir, rm, rmdir, stat, unlink, writeFile } from "node:fs/promises";
import { dirname, join, sep } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { BlobMissing, type BlobStore, checkKey } from "./blobs.ts";
import { growingFiles } from "./growing-files.ts";
import { moveInto, syncPath, unlessMissing } from "./move-into.ts";

/** The folders within the store: what is whole, what grows, and what is being written. */
const OBJECTS = "objects";
const GROWING = "growing";
const WRITING = "writing";

/**
 * A folder as the blob store. An object appears under its name only whole and on the disk: it is written beside, synced
 * and renamed. The folder is made at the start where only it is missing, and never later: a mount that went away
 * under a running server is not written under.
 */
export function openFileBlobs(folder: string): BlobStore {
  const pathOf = (key: string) => join(folder, OBJECTS, ...checkKey(key).split("/"));
  const put: BlobStore["put"] = async (key, body, sizeBytes) => {
    const path = pathOf(key);
    const beside = join(folder, WRITING, randomUUID());
    try {
      await pipeline(Buffer.isBuffer(body) ? Readable.from([body]) : body, createWriteStream(beside, { flush: true }));
      const { size } = await stat(beside);
      if (sizeBytes !== undefined && size !== sizeBytes) throw new Error(`${key} was ${size} bytes, not ${sizeBytes}`);
      await moveInto(beside, path);
    } finally {
      await rm(beside, { force: true });
    }
  };
  return {
    kind: "files",
    put,
    async create(key, body) {
      const path = pathOf(key);
      await mkdir(dirname(path), { recursive: true });
      const beside = join(folder, WRITING, randomUUID());
      try {
        await writeFile(beside, body, { flush: true });
        // A link, not a rename: it does not replace what is there.
        await link(beside, path);
        await syncPath(dirname(path));
        return true;
      } catch (reason) {
        if ((reason as NodeJS.ErrnoException).code !== "EEXIST") throw reason;
        return false;
      } finally {
        await rm(beside, { force: true });
      }
    },
    async get(key, range) {
      const file = await openFile(pathOf(key), key);
      const end = range ? { start: range.offset, end: range.offset + range.length - 1 } : {};
      if (range?.length === 0) {
        await file.close();
        return Readable.from([]);
      }
      return createReadStream("", { fd: file, ...end });
    },
    async head(key) {
      const found = await stat(pathOf(key)).catch(unlessMissing);
      return found?.isFile() ? { sizeBytes: found.size } : undefined;
    },
    async delete(key) {
      const path = pathOf(key);
      await unlink(path).catch(unlessMissing);
      await removeEmptyParents(path, join(folder, OBJECTS));
    },
    list: (prefix) => walk(join(folder, OBJECTS), "", prefix),
    check: () => checkFolder(folder, [OBJECTS, GROWING, WRITING]),
    growing: growingFiles({
      growingPathOf: (key) => join(folder, GROWING, ...checkKey(key).split("/")),
      pathOf,
      removeEmptyParents: (path) => removeEmptyParents(path, join(folder, GROWING)),
      list: (prefix) => walk(join(folder, GROWING), "", prefix),
      async dropUnwritten(before) {
        for await (const { key, modifiedAt } of walk(join(folder, WRITING), "", ""))
          if (modifiedAt < before) await rm(join(folder, WRITING, key), { force: true });
      },
    }),
  };
}

async function openFile(path: string, key: string): Promise<FileHandle> {
  const file = await open(path, "r").catch(unlessMissing);
  if (!file) throw new BlobMissing(key);
  if (!(await file.stat()).isFile()) {
    await file.close();
    throw new BlobMissing(key);
  }
  return file;
}

async function removeEmptyParents(path: string, root: string): Promise<void> {
  for (let parent = dirname(path); parent.startsWith(root + sep); parent = dirname(parent)) {
    const removed = await rmdir(parent).then(
      () => true,
      () => false,
    );
    if (!removed) return;
  }
}

async function* walk(
  root: string,
  at: string,
  prefix: string,
): AsyncGenerator<{ key: string; sizeBytes: number; modifiedAt: Date }> {
  const folder = await opendir(join(root, at)).catch(unlessMissing);
  if (!folder) return;
  for await (const entry of folder) {
    const key = at === "" ? entry.name : `${at}/${entry.name}`;
    if (entry.isDirectory()) {
      if (key.startsWith(prefix) || prefix.startsWith(`${key}/`)) yield* walk(root, key, prefix);
    } else if (key.startsWith(prefix)) {
      const found = await stat(join(root, key)).catch(unlessMissing);
      if (found) yield { key, sizeBytes: found.size, modifiedAt: found.mtime };
    }
  }
}

async function checkFolder(folder: string, needed: string[]): Promise<void> {
  await mkdir(folder).catch(() => {
    // There already, or not to be made: what follows says which.
  });
  const found = await stat(folder).catch(unlessMissing);
  if (!found?.isDirectory()) {
    throw new Error(`RITMO_BLOB_DIR: ${folder} is not a folder; make it, or mount what belongs there.`);
  }
  try {
    for (const name of needed) await mkdir(join(folder, name), { recursive: true });
    const probe = join(folder, WRITING, `probe-${randomUUID()}`);
    await (await open(probe, "wx")).close();
    await unlink(probe);
  } catch (reason) {
    const code = (reason as NodeJS.ErrnoException).code;
    throw new Error(`RITMO_BLOB_DIR: ${folder} can't be written (${code}); give it to the user that runs this server.`);
  }
}
