import { mkdir, open, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import type { BlobStore } from "./blobs.ts";
import { moveInto, syncPath, unlessMissing } from "./move-into.ts";

interface Paths {
  growingPathOf(key: string): string;
  pathOf(key: string): string;
  all(): AsyncIterable<{ key: string; modifiedAt: Date }>;
}

/**
 * Uploads that grow by appending. The newest writer of a key wins: an older one of this process, that hangs on a
 * connection which is gone, stops before its next write.
 */
export function growingFiles({ growingPathOf, pathOf, all }: Paths): NonNullable<BlobStore["growing"]> {
  const writers = new Map<string, symbol>();
  const size = async (key: string) => (await stat(growingPathOf(key)).catch(unlessMissing))?.size ?? 0;
  return {
    size,
    async append(key, offset, body) {
      const path = growingPathOf(key);
      const me = Symbol(key);
      writers.set(key, me);
      await mkdir(dirname(path), { recursive: true });
      await using file = await open(path, "a+");
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
    },
    async drop(key) {
      writers.delete(key);
      await rm(growingPathOf(key), { force: true });
    },
    list: all,
  };
}
