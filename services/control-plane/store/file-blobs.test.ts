import { randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { BlobStore } from "./blobs.ts";
import { openFileBlobs } from "./file-blobs.ts";

const KEY = "o/org_1/b/bld_1/l/5e1f/a/abc-art_1";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "ritmo-blobs-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function files(): Promise<BlobStore> {
  const store = openFileBlobs(mkdtempSync(join(folder, "store-")));
  await store.check();
  return store;
}

async function* slice(bytes: Buffer, from: number) {
  yield bytes.subarray(from);
}

test("uploads grow, go on after a break, and appear only when they are finished", async () => {
  const store = await files();
  const growing = store.growing as NonNullable<BlobStore["growing"]>;
  const bytes = randomBytes(500_000);
  const breaking = async function* () {
    yield bytes.subarray(0, 200_000);
    throw new Error("the line broke");
  };
  await expect(growing.append(KEY, 0, breaking())).rejects.toThrow("the line broke");
  expect(await growing.size(KEY)).toBe(200_000);
  expect(await store.head(KEY)).toBeUndefined();
  await expect(growing.append(KEY, 200_001, slice(bytes, 200_001))).rejects.toThrow(RangeError);
  // From before the end: what follows is written anew.
  expect(await growing.append(KEY, 150_000, slice(bytes, 150_000))).toBe(500_000);
  await growing.finish(KEY);
  await growing.finish(KEY);
  expect((await buffer(await store.get(KEY))).equals(bytes)).toBe(true);
  expect(await growing.size(KEY)).toBe(0);
  await growing.append(`${KEY}x`, 0, slice(bytes, 0));
  await growing.drop(`${KEY}x`);
  expect(await growing.size(`${KEY}x`)).toBe(0);
});

test("the newest writer of an upload wins, and an old one can't touch what is finished", async () => {
  const store = await files();
  const growing = store.growing as NonNullable<BlobStore["growing"]>;
  let goOn: (() => void) | undefined;
  const hanging = (async function* () {
    yield Buffer.from("old ");
    await new Promise<void>((resolve) => (goOn = resolve));
    yield Buffer.from("late");
  })();
  const old = growing.append(KEY, 0, hanging).catch((reason: Error) => reason.message);
  await expect.poll(() => growing.size(KEY)).toBe(4);
  expect(await growing.append(KEY, 0, slice(Buffer.from("new bytes"), 0))).toBe(9);
  await growing.finish(KEY);
  goOn?.();
  expect(await old).toMatch("another writer");
  expect((await buffer(await store.get(KEY))).toString()).toBe("new bytes");
});

test("a folder that can't be used is said to be so in one line", async () => {
  const file = join(folder, "a-file");
  writeFileSync(file, "");
  await expect(openFileBlobs(file).check()).rejects.toThrow(/^RITMO_BLOB_DIR: .*a-file is not a folder; .*$/);
  await expect(openFileBlobs(join(folder, "not/there")).check()).rejects.toThrow("is not a folder");
  const fresh = join(folder, "made-at-start");
  await openFileBlobs(fresh).check();
  expect(readdirSync(fresh).sort()).toEqual(["growing", "objects", "writing"]);
  const gone = await files();
  rmSync(folder, { recursive: true });
  await expect(gone.put(KEY, Buffer.from("x"), 1)).rejects.toThrow("ENOENT");
  expect(existsSync(folder)).toBe(false);
  folder = mkdtempSync(join(tmpdir(), "ritmo-blobs-"));
});

test("a folder that can't be written is said to be so", async () => {
  const odd = mkdtempSync(join(folder, "odd-"));
  writeFileSync(join(odd, "objects"), "a file where a folder belongs");
  await expect(openFileBlobs(odd).check()).rejects.toThrow(/^RITMO_BLOB_DIR: .* can't be written \(EEXIST\); /);
});
