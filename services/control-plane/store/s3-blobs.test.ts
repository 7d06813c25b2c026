import { randomBytes } from "node:crypto";
import { request } from "node:http";
import { buffer } from "node:stream/consumers";
import { describe, expect } from "vitest";
import { s3Servers, s3Settings, testUnless } from "../../testing/s3-servers.ts";
import { type BlobStore, PartsRefused } from "./blobs.ts";
import { openS3Blobs } from "./s3-blobs.ts";
import type { S3Settings } from "./s3-client.ts";

const KEY = "o/org_1/b/bld_1/l/5e1f/a/abc-art_1";
const MIB = 1024 * 1024;

const { weed, versitygw } = s3Servers();

describe.each([weed, versitygw])("$name alone", ({ absent, server }) => {
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
    expect(await Array.fromAsync(store.list(""))).toHaveLength(1);
    await store.delete(KEY);
    expect((await put(url, bytes)).status).toBe(404);
    expect(await store.head(KEY)).toBeUndefined();
  });

  testS3("an address ends when its time is up", async () => {
    const { signed, ...store } = await openStore();
    const id = await signed.beginParts(KEY, "text/plain");
    const brief = await signed.putPart(KEY, id, 1, 1);
    const long = await signed.putPart(KEY, id, 1, 60);
    await expect.poll(async () => (await put(brief, Buffer.from("late"))).status, { timeout: 10_000 }).toBe(403);
    expect((await put(long, Buffer.from("in time"))).status).toBe(200);
    await signed.completeParts(KEY, id, await signed.listParts(KEY, id));
    expect((await buffer(await store.get(KEY))).toString()).toBe("in time");
    const get = await signed.get(KEY, 1, "x", "text/plain");
    await expect.poll(async () => (await fetch(get)).status, { timeout: 10_000 }).toBe(403);
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

testUnless(weed.absent)("a key that may only read is said to be one", async () => {
  const settings = await s3Settings(weed.server(), weed.server().readOnly);
  await expect(openS3Blobs(settings).check()).rejects.toThrow(
    /^RITMO_S3_ACCESS_KEY_ID: the key may not list, write and delete in /,
  );
});

testUnless(versitygw.absent)("a wrong region is said to be one", async () => {
  const settings = await s3Settings(versitygw.server(), { region: "eu-north-1" });
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
