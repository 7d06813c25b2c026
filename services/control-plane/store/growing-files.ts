import { type FileHandle, mkdir, open, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import type { BlobStore } from "./blobs.ts";
import { moveInto, syncPath, unlessMissing } from "./move-into.ts";

interface Paths {
  growingPathOf(key: string): string;
  pathOf(key: string): string;
  removeEmptyParents(path: string): Promise<void>;
  list: Growing["list"];
  dropUnwritten: Growing["dropUnwritten"];
}

type Growing = NonNullable<BlobStore["growing"]>;

/**
 * Uploads that grow by appending. The newest writer of a key wins: an older one of this process, that hangs on a
 * connection which is gone, stops before its next write.
 */
export function growingFiles({ growingPathOf, pathOf, removeEmptyParents, list, dropUnwritten }: Paths): Growing {
  const writers = new Map<string, symbol>();
  const size = async (key: string) => (await stat(growingPathOf(key)).catch(unlessMissing))?.size ?? 0;
  return {
    size,
    async append(key, offset, body) {
      const path = growingPathOf(key);
      const me = Symbol(key);
      writers.set(key, me);
      await using file = await openGrowing(path);
      if (offset > (await file.stat()).size) throw new RangeError(`${key} has not come to ${offset} yet`);
      await file.truncate(offset);
      let at = offset;
      const { ino } = await file.stat();
      try {
        for await (const bytes of body) {
          // Also when another replica has made an object of it: its file would still be open here.
          const mine = writers.get(key) === me && (await stat(path).catch(unlessMissing))?.ino === ino;
          if (!mine) throw new Error(`another writer took ${key} over`);
          await file.appendFile(bytes);
          at += bytes.length;
        }
      } finally {
        if (writers.get(key) === me) writers.delete(key);
        await file.sync();
      }
      return at;
    },
    async finish(key) {
      writers.delete(key);
      const path = growingPathOf(key);
      if (!(await stat(path).catch(unlessMissing))) return;
      await syncPath(path);
      await moveInto(path, pathOf(key));
      await removeEmptyParents(path);
    },
    async drop(key) {
      writers.delete(key);
      await rm(growingPathOf(key), { force: true });
      await removeEmptyParents(growingPathOf(key));
    },
    list,
    dropUnwritten,
  };
}

/** Its folder may go in the moment between being made and being used, when the last other upload in it ends. */
async function openGrowing(path: string): Promise<FileHandle> {
  for (let tried = 1; ; tried++) {
    await mkdir(dirname(path), { recursive: true });
    try {
      return await open(path, "a+");
    } catch (reason) {
      if (tried === 5 || (reason as NodeJS.ErrnoException).code !== "ENOENT") throw reason;
    }
  }
}
