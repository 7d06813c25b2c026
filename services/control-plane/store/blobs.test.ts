import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect } from "vitest";
import { s3Servers, s3Settings, testUnless } from "../../testing/s3-servers.ts";
import { BlobMissing, type BlobStore } from "./blobs.ts";
import { openFileBlobs } from "./file-blobs.ts";
import { openS3Blobs } from "./s3-blobs.ts";

const KEY = "o/org_1/b/bld_1/l/5e1f/a/abc-art_1";
const MIB = 1024 * 1024;

const { weed, versitygw } = s3Servers();
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

const STORES = [
  { name: "a folder", absent: undefined, open: files },
  ...[weed, versitygw].map(({ name, absent, server }) => ({
    name,
    absent,
    open: async () => openS3Blobs(await s3Settings(server())),
  })),
];
const all = async (store: BlobStore, prefix: string) =>
  (await Array.fromAsync(store.list(prefix))).sort((a, b) => (a.key < b.key ? -1 : 1));

describe.each(STORES)("$name", ({ absent, open }) => {
  const testStore = testUnless(absent);
  testStore("keeps what it is given, whole and in ranges", async () => {
    const store = await open();
    const bytes = randomBytes(3 * MIB + 17);
    await store.put(KEY, bytes, bytes.length);
    expect(await store.head(KEY)).toEqual({ sizeBytes: bytes.length });
    expect((await buffer(await store.get(KEY))).equals(bytes)).toBe(true);
    for (const [offset, length] of [
      [0, 1],
      [1_000_003, 77_777],
      [bytes.length - 5, 5],
      [5, 0],
    ] as const) {
      expect(
        (await buffer(await store.get(KEY, { offset, length }))).equals(bytes.subarray(offset, offset + length)),
      ).toBe(true);
    }
  });

  testStore("takes a stream of unknown size, a large buffer, nothing, and the same key again", async () => {
    const store = await open();
    const large = randomBytes(19 * MIB);
    const slices = function* () {
      for (let at = 0; at < large.length; at += 333_333) yield large.subarray(at, at + 333_333);
    };
    await store.put(KEY, Readable.from(slices()), undefined);
    expect((await buffer(await store.get(KEY))).equals(large)).toBe(true);
    await store.put(`${KEY}2`, large, large.length, "application/x-thing");
    expect((await buffer(await store.get(`${KEY}2`))).equals(large)).toBe(true);
    await store.put(KEY, Buffer.alloc(0), 0);
    expect(await store.head(KEY)).toEqual({ sizeBytes: 0 });
    expect(await buffer(await store.get(KEY))).toHaveLength(0);
  });

  testStore("says what is not there, and forgets what is deleted", async () => {
    const store = await open();
    expect(await store.head(KEY)).toBeUndefined();
    await expect(store.get(KEY)).rejects.toBeInstanceOf(BlobMissing);
    await expect(store.get(KEY, { offset: 0, length: 5 })).rejects.toBeInstanceOf(BlobMissing);
    await store.put(KEY, Buffer.from("x"), 1);
    await store.delete(KEY);
    await store.delete(KEY);
    expect(await store.head(KEY)).toBeUndefined();
  });

  testStore("lists what begins with a prefix", async () => {
    const store = await open();
    const keys = ["o/1/b/1/x", "o/1/b/1/y/z", "o/1/b/11/x", "o/2/b/1/x"];
    for (const key of keys) await store.put(key, Buffer.from(key), key.length);
    expect((await all(store, "o/1/b/1/")).map(({ key }) => key)).toEqual(["o/1/b/1/x", "o/1/b/1/y/z"]);
    const [other, ...more] = await all(store, "o/2/");
    expect(other).toMatchObject({ key: "o/2/b/1/x", sizeBytes: 9 });
    expect(Math.abs(Date.now() - (other?.modifiedAt.getTime() ?? 0))).toBeLessThan(60_000);
    expect(more).toEqual([]);
    expect(await all(store, "nothing/")).toEqual([]);
  });

  testStore("of many that create one object, one does", async () => {
    const store = await open();
    const bodies = Array.from({ length: 20 }, (_, n) => Buffer.from(`racer ${n}`));
    const made = await Promise.all(bodies.map((body) => store.create(KEY, body)));
    expect(made.filter(Boolean)).toHaveLength(1);
    expect((await buffer(await store.get(KEY))).equals(bodies[made.indexOf(true)] as Buffer)).toBe(true);
    expect(await store.create(KEY, Buffer.from("late"))).toBe(false);
    await store.delete(KEY);
    expect(await store.create(KEY, Buffer.from("again"))).toBe(true);
  });

  testStore("an upload whose source breaks leaves nothing behind", async () => {
    const store = await open();
    const breaking = async function* () {
      yield randomBytes(100_000);
      throw new Error("the source broke");
    };
    await expect(store.put(KEY, Readable.from(breaking()), 200_000)).rejects.toThrow();
    expect(await store.head(KEY)).toBeUndefined();
    expect(await all(store, "")).toEqual([]);
  });

  testStore("no key leads elsewhere", async () => {
    const store = await open();
    for (const key of ["", "/etc/passwd", "../x", "a/../b", "a//b", "a/.", "a\\b", "a\0", "a b", "x".repeat(901)]) {
      await expect(Promise.resolve().then(() => store.put(key, Buffer.from("x"), 1))).rejects.toThrow("can't be a key");
      await expect(Promise.resolve().then(() => store.get(key))).rejects.toThrow("can't be a key");
    }
  });

  testStore("is found fit by its own check", async () => {
    await (await open()).check();
  });
});
