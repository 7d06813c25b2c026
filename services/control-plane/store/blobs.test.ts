import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { findWeed, NO_WEED, startWeed, type TestS3 } from "../../testing/start-weed.ts";
import { BlobMissing, type BlobStore } from "./blobs.ts";
import { openFileBlobs } from "./file-blobs.ts";
import { openS3Blobs, type S3Settings } from "./s3-blobs.ts";

const weed = findWeed();
const KEY = "o/org_1/b/bld_1/l/5e1f/a/abc-art_1";
const MIB = 1024 * 1024;

let weedServer: TestS3;
let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "ritmo-blobs-"));
  if (weed) weedServer = await startWeed(weed);
});
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await weedServer?.[Symbol.asyncDispose]();
});

const s3Settings = async (more: Partial<S3Settings> = {}): Promise<S3Settings> => ({
  endpoint: weedServer.endpoint,
  publicEndpoint: undefined,
  region: "us-east-1",
  bucket: await weedServer.makeBucket(),
  accessKeyId: weedServer.accessKeyId,
  secretAccessKey: weedServer.secretAccessKey,
  pathStyle: true,
  ...more,
});

async function files(): Promise<BlobStore> {
  const store = openFileBlobs(mkdtempSync(join(folder, "store-")));
  await store.check();
  return store;
}

const STORES = [
  { name: "a folder", there: true, open: files },
  { name: "an S3 server", there: weed !== undefined, open: async () => openS3Blobs(await s3Settings()) },
];
const all = async (store: BlobStore, prefix: string) =>
  (await Array.fromAsync(store.list(prefix))).sort((a, b) => (a.key < b.key ? -1 : 1));

/** A test that is counted as skipped, with the reason, where its store is not. */
const testIf = (there: boolean) => (name: string, run: () => Promise<void>) =>
  test(name, async ({ skip }) => {
    skip(!there, NO_WEED);
    await run();
  });

describe.each(STORES)("$name", ({ there, open }) => {
  const testStore = testIf(there);
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
    expect(await all(store, "o/2/")).toEqual([{ key: "o/2/b/1/x", sizeBytes: 9 }]);
    expect(await all(store, "nothing/")).toEqual([]);
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

describe("an S3 server alone", () => {
  const testS3 = testIf(weed !== undefined);
  const put = (url: string, body: Buffer) => fetch(url, { method: "PUT", body: new Uint8Array(body) });

  testS3("a signed address takes the bytes and gives them back under their name, and nothing else", async () => {
    const { signed, ...store } = openS3Blobs(await s3Settings()) as Required<BlobStore>;
    const bytes = randomBytes(1000);
    const url = await signed.put(KEY, bytes.length, 60);
    expect((await put(url, bytes)).status).toBe(200);
    expect((await buffer(await store.get(KEY))).equals(bytes)).toBe(true);
    expect((await put(url.replace("abc-art_1", "abc-art_2"), bytes)).status).toBe(403);
    const get = await signed.get(KEY, 60, 'we"ird ä.txt', "text/plain");
    const answer = await fetch(get);
    expect(Buffer.from(await answer.arrayBuffer()).equals(bytes)).toBe(true);
    expect(answer.headers.get("content-disposition")).toBe(
      `attachment; filename="we_ird _.txt"; filename*=UTF-8''we%22ird%20%C3%A4.txt`,
    );
    expect((await fetch(get.replace(/X-Amz-Signature=./, "X-Amz-Signature=0"))).status).toBe(403);
    const range = await fetch(get, { headers: { range: "bytes=10-19" } });
    expect(Buffer.from(await range.arrayBuffer()).equals(bytes.subarray(10, 20))).toBe(true);
  });

  testS3("an upload in parts goes on after a break and is whole when it is completed", async () => {
    const { signed, ...store } = openS3Blobs(await s3Settings()) as Required<BlobStore>;
    const parts = [randomBytes(5 * MIB), randomBytes(5 * MIB), randomBytes(7)];
    const id = await signed.beginParts(KEY, "text/plain");
    const etags: string[] = [];
    for (const number of [2, 1]) {
      const answer = await put(await signed.putPart(KEY, id, number, 60), parts[number - 1] as Buffer);
      etags[number] = answer.headers.get("etag") as string;
    }
    expect((await signed.listParts(KEY, id)).map(({ number, sizeBytes }) => [number, sizeBytes])).toEqual([
      [1, 5 * MIB],
      [2, 5 * MIB],
    ]);
    const last = await put(await signed.putPart(KEY, id, 3, 60), parts[2] as Buffer);
    etags[3] = last.headers.get("etag") as string;
    expect(await store.head(KEY)).toBeUndefined();
    const told = [3, 1, 2].map((number) => ({ number, etag: etags[number] as string }));
    await expect(
      signed.completeParts(
        KEY,
        id,
        told.map((p) => ({ ...p, etag: '"0123"' })),
      ),
    ).rejects.toThrow();
    await signed.completeParts(KEY, id, told);
    expect((await buffer(await store.get(KEY))).equals(Buffer.concat(parts))).toBe(true);
    await expect(signed.listParts(KEY, "no-such-upload")).rejects.toThrow();
    const dropped = await signed.beginParts(`${KEY}x`, "text/plain");
    await signed.abortParts(`${KEY}x`, dropped);
    await signed.abortParts(`${KEY}x`, dropped);
  });

  testS3("addresses name the host that others know the server by", async () => {
    const settings = await s3Settings({ publicEndpoint: "https://s3.example.com:9443" });
    const { signed } = openS3Blobs(settings) as Required<BlobStore>;
    expect(await signed.get(KEY, 60, "x", "text/plain")).toMatch(/^https:\/\/s3\.example\.com:9443\/test-/);
    // The same server by another name: signed for that name, it is let in.
    const other = weedServer.endpoint.replace("127.0.0.1", "localhost");
    const same = openS3Blobs({ ...settings, publicEndpoint: other }) as Required<BlobStore>;
    const url = await same.signed.put(KEY, 5, 60);
    expect(url).toContain("//localhost:");
    expect((await put(url, Buffer.from("hello"))).status).toBe(200);
    expect((await put(url.replace("localhost", "127.0.0.1"), Buffer.from("hello"))).status).toBe(403);
  });

  for (const [name, more, message] of [
    ["a bucket that is not there", { bucket: "no-such-bucket" }, /^RITMO_S3_BUCKET: .* has no bucket no-such-bucket; /],
    ["a key nobody knows", { accessKeyId: "nobody" }, /^RITMO_S3_ACCESS_KEY_ID: /],
    ["a wrong secret", { secretAccessKey: "wrong" }, /^RITMO_S3_SECRET_ACCESS_KEY: /],
    [
      "a port where nothing listens",
      { endpoint: "http://127.0.0.1:9" },
      /^RITMO_S3_ENDPOINT: .*can't be reached \(ECONNREFUSED\)/,
    ],
  ] as const) {
    testS3(`${name} is said to be so in one line`, async () => {
      const reason = await openS3Blobs(await s3Settings(more))
        .check()
        .catch((caught: Error) => caught);
      expect((reason as Error).message).toMatch(message);
      expect((reason as Error).message).not.toContain("\n");
    });
  }
});
