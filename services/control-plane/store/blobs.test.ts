import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { findVersitygw, NO_VERSITYGW, startVersitygw } from "../../testing/s3-versitygw.ts";
import { findWeed, NO_WEED, startWeed, type TestS3 } from "../../testing/start-weed.ts";
import { BlobMissing, type BlobStore, PartsRefused } from "./blobs.ts";
import { openFileBlobs } from "./file-blobs.ts";
import { openS3Blobs } from "./s3-blobs.ts";
import type { S3Settings } from "./s3-client.ts";

const weed = findWeed();
const versitygw = findVersitygw();
const KEY = "o/org_1/b/bld_1/l/5e1f/a/abc-art_1";
const MIB = 1024 * 1024;

let weedServer: TestS3;
let versityServer: TestS3;
let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "ritmo-blobs-"));
  if (versitygw) versityServer = await startVersitygw(versitygw);
  if (weed) weedServer = await startWeed(weed);
});
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await weedServer?.[Symbol.asyncDispose]();
  await versityServer?.[Symbol.asyncDispose]();
});

const s3Settings = async (server: TestS3, more: Partial<S3Settings> = {}): Promise<S3Settings> => ({
  endpoint: server.endpoint,
  publicEndpoint: undefined,
  region: "us-east-1",
  bucket: await server.makeBucket(),
  accessKeyId: server.accessKeyId,
  secretAccessKey: server.secretAccessKey,
  pathStyle: true,
  ...more,
});

async function files(): Promise<BlobStore> {
  const store = openFileBlobs(mkdtempSync(join(folder, "store-")));
  await store.check();
  return store;
}

const SERVERS = [
  { name: "an S3 server (SeaweedFS)", absent: weed ? undefined : NO_WEED, server: () => weedServer },
  { name: "an S3 server (versitygw)", absent: versitygw ? undefined : NO_VERSITYGW, server: () => versityServer },
];
const STORES = [
  { name: "a folder", absent: undefined, open: files },
  ...SERVERS.map(({ name, absent, server }) => ({
    name,
    absent,
    open: async () => openS3Blobs(await s3Settings(server())),
  })),
];
const all = async (store: BlobStore, prefix: string) =>
  (await Array.fromAsync(store.list(prefix))).sort((a, b) => (a.key < b.key ? -1 : 1));

/** A test that is counted as skipped, with the reason, where its store is not. */
const testUnless = (absent: string | undefined) => (name: string, run: () => Promise<void>) =>
  test(name, async ({ skip }) => {
    skip(absent !== undefined, absent);
    await run();
  });

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

describe.each(SERVERS)("$name alone", ({ absent, server }) => {
  const testS3 = testUnless(absent);
  const put = (url: string, body: Buffer) => fetch(url, { method: "PUT", body: new Uint8Array(body) });
  const openStore = async (more: Partial<S3Settings> = {}) =>
    openS3Blobs(await s3Settings(server(), more)) as Required<BlobStore>;

  testS3("a signed address takes the bytes of its part, and nothing else", async () => {
    const { signed, ...store } = await openStore();
    const bytes = randomBytes(1000);
    const id = await signed.beginParts(KEY, "text/plain");
    const url = await signed.putPart(KEY, id, 1, 60);
    expect((await put(url, bytes)).status).toBe(200);
    expect((await put(url.replace("abc-art_1", "abc-art_2"), bytes)).status).toBe(403);
    expect((await put(url.replace("partNumber=1", "partNumber=2"), bytes)).status).toBe(403);
    expect((await put(url.replace(/X-Amz-Signature=../, "X-Amz-Signature=00"), bytes)).status).toBe(403);
    expect(await store.head(KEY)).toBeUndefined();
    await signed.completeParts(KEY, id, await signed.listParts(KEY, id));
    const get = await signed.get(KEY, 60, 'we"ird ä.txt', "text/plain");
    const answer = await fetch(get);
    expect(Buffer.from(await answer.arrayBuffer()).equals(bytes)).toBe(true);
    expect(answer.headers.get("content-disposition")).toBe(
      `attachment; filename="we_ird _.txt"; filename*=UTF-8''we%22ird%20%C3%A4.txt`,
    );
    expect((await fetch(get.replace(/X-Amz-Signature=../, "X-Amz-Signature=00"))).status).toBe(403);
    const range = await fetch(get, { headers: { range: "bytes=10-19" } });
    expect(Buffer.from(await range.arrayBuffer()).equals(bytes.subarray(10, 20))).toBe(true);
  });

  testS3("an address that still holds can't change an object that is complete", async () => {
    const { signed, ...store } = await openStore();
    const bytes = randomBytes(1000);
    const id = await signed.beginParts(KEY, "text/plain");
    const url = await signed.putPart(KEY, id, 1, 60);
    await put(url, randomBytes(1000));
    // Before the end it may be replaced: this is a worker that tries again.
    expect((await put(url, bytes)).status).toBe(200);
    await signed.completeParts(KEY, id, await signed.listParts(KEY, id));
    expect((await put(url, randomBytes(1000))).status).toBe(404);
    expect((await buffer(await store.get(KEY))).equals(bytes)).toBe(true);
    expect(await all(store as BlobStore, "")).toHaveLength(1);
    await store.delete(KEY);
    expect((await put(url, bytes)).status).toBe(404);
    expect(await store.head(KEY)).toBeUndefined();
  });

  testS3("an upload in parts goes on after a break and is whole when it is completed", async () => {
    const { signed, ...store } = await openStore();
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
    const wrong = told.map((part) => ({ ...part, etag: '"00000000000000000000000000000000"' }));
    await expect(signed.completeParts(KEY, id, wrong)).rejects.toBeInstanceOf(PartsRefused);
    await signed.completeParts(KEY, id, told);
    expect((await buffer(await store.get(KEY))).equals(Buffer.concat(parts))).toBe(true);
    await expect(signed.listParts(KEY, "no-such-upload")).rejects.toThrow();
  });

  testS3("uploads that nobody ended are listed, and gone when they are dropped", async () => {
    const { signed } = await openStore();
    const begun = await Promise.all(["o/1/a", "o/1/b", "o/2/a"].map((key) => signed.beginParts(key, "text/plain")));
    await put(await signed.putPart("o/1/a", begun[0] as string, 1, 60), randomBytes(10));
    const uploads = await Array.fromAsync(signed.listUploads("o/"));
    expect(uploads.map(({ key, uploadId }) => [key, uploadId]).sort()).toEqual([
      ["o/1/a", begun[0]],
      ["o/1/b", begun[1]],
      ["o/2/a", begun[2]],
    ]);
    for (const { begunAt } of uploads) expect(Math.abs(Date.now() - begunAt.getTime())).toBeLessThan(60_000);
    expect(await Array.fromAsync(signed.listUploads("o/2/"))).toHaveLength(1);
    await signed.abortParts("o/1/a", begun[0] as string);
    await signed.abortParts("o/1/a", begun[0] as string);
    expect(await Array.fromAsync(signed.listUploads("o/"))).toHaveLength(2);
  });

  testS3("addresses name the host that others know the server by", async () => {
    const settings = await s3Settings(server(), { publicEndpoint: "https://s3.example.com:9443" });
    const { signed } = openS3Blobs(settings) as Required<BlobStore>;
    expect(await signed.get(KEY, 60, "x", "text/plain")).toMatch(/^https:\/\/s3\.example\.com:9443\/test-/);
    // The same server by another name: signed for that name, it is let in.
    const other = server().endpoint.replace("127.0.0.1", "localhost");
    const same = openS3Blobs({ ...settings, publicEndpoint: other }) as Required<BlobStore>;
    const url = await same.signed.putPart(KEY, await same.signed.beginParts(KEY, "text/plain"), 1, 60);
    expect(url).toContain("//localhost:");
    // Not every local name leads to the address it listens on, so the name is all that is changed.
    const by = (host: string) => putAs(url.replace("localhost", "127.0.0.1"), host, Buffer.from("hello"));
    expect(await by(new URL(url).host)).toBe(200);
    expect(await by(new URL(server().endpoint).host)).toBe(403);
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
      const reason = await (await openStore(more)).check().catch((caught: Error) => caught);
      expect((reason as Error).message).toMatch(message);
      expect((reason as Error).message).not.toContain("\n");
    });
  }
});

testUnless(weed ? undefined : NO_WEED)("a key that may only read is said to be one", async () => {
  const settings = await s3Settings(weedServer, weedServer.readOnly);
  await expect(openS3Blobs(settings).check()).rejects.toThrow(
    /^RITMO_S3_ACCESS_KEY_ID: the key may not list, write and delete in /,
  );
});

testUnless(versitygw ? undefined : NO_VERSITYGW)("a wrong region is said to be one", async () => {
  const settings = await s3Settings(versityServer, { region: "eu-north-1" });
  await expect(openS3Blobs(settings).check()).rejects.toThrow(/^RITMO_S3_REGION: /);
});

/** PUTs to an address under another host name; answers the status. */
function putAs(url: string, host: string, body: Buffer): Promise<number> {
  return new Promise((resolve, reject) => {
    request(url, { method: "PUT", headers: { host, "content-length": body.length } }, (answer) => {
      answer.resume();
      resolve(answer.statusCode ?? 0);
    })
      .on("error", reject)
      .end(body);
  });
}
