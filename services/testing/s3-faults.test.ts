import { randomBytes } from "node:crypto";
import { buffer } from "node:stream/consumers";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { archiveAttempt, archiveNext } from "../control-plane/logs/archive-log.ts";
import { findLog } from "../control-plane/logs/find-log.ts";
import { bytesOf } from "../control-plane/logs/log-source.ts";
import { openLog } from "../control-plane/logs/open-log.ts";
import { BlobMissing, type BlobStore } from "../control-plane/store/blobs.ts";
import { STORE_TRIES } from "../control-plane/store/keep-trying.ts";
import { openS3Blobs } from "../control-plane/store/s3-blobs.ts";
import { tellStoreFaults } from "../control-plane/store/tell-store-faults.ts";
import { artifactTools } from "./artifact-tools.ts";
import { type ByteFixture, byteFixture } from "./byte-fixture.ts";
import { endAttempt, type PlantedAttempt, plantRunning, writeLog } from "./plant-log.ts";
import { type S3Fault, type S3FaultProxy, type S3Request, startS3FaultProxy } from "./s3-fault-proxy.ts";
import { findWeed, NO_WEED, startWeed, type TestS3 } from "./start-weed.ts";

// Faults 29 and 30: what an S3 server does when it is ill. Retries are bounded and harmless, success is never false.

const weed = findWeed();
const MIB = 1024 * 1024;
const SILENCE_MS = 800;
const KEY = "o/org_1/b/bld_1/l/5e1f/a/thing";

let core: ByteFixture;
let server: TestS3 | undefined;
let proxy: S3FaultProxy;
let direct: Required<BlobStore>;
let store: Required<BlobStore>;
beforeAll(async () => {
  core = await byteFixture();
  if (!weed) return;
  server = await startWeed(weed);
  proxy = await startS3FaultProxy(server.endpoint);
  const bucket = await server.makeBucket();
  const { accessKeyId, secretAccessKey } = server;
  const keys = {
    bucket,
    accessKeyId,
    secretAccessKey,
    region: "us-east-1",
    pathStyle: true,
    publicEndpoint: undefined,
  };
  direct = openS3Blobs({ ...keys, endpoint: server.endpoint }) as Required<BlobStore>;
  store = openS3Blobs({ ...keys, endpoint: proxy.endpoint, silenceMs: SILENCE_MS }) as Required<BlobStore>;
  core.blobs = tellStoreFaults(store);
});
afterEach(() => proxy?.calm());
afterAll(async () => {
  await proxy?.[Symbol.asyncDispose]();
  await server?.[Symbol.asyncDispose]();
  await core[Symbol.asyncDispose]();
});

/** A test that is counted as skipped, with the reason, where there is no S3 server. */
const testS3 = (name: string, run: () => Promise<void>) =>
  test(name, async ({ skip }) => {
    skip(weed === undefined, NO_WEED);
    await run();
  });
const { begin, commit, list, paths, download } = artifactTools(() => core);
const put = (url: string, bytes: Buffer) => fetch(url, { method: "PUT", body: new Uint8Array(bytes) });
const is =
  (method: string, part = "") =>
  (request: S3Request) =>
    request.method === method && request.url.includes(part);
const isComplete = (request: S3Request) => request.method === "POST" && /[?&]uploadId=/.test(request.url);

const PASSING: S3Fault[] = ["slow down", "500 after apply", "reset", "silence"];
const LASTING: S3Fault[] = ["skewed", "forbidden"];

for (const fault of PASSING) {
  testS3(`${fault}: every request is made again, and its effect is one`, async () => {
    const bytes = randomBytes(1_000);
    proxy.fail(fault, 1, is("PUT"));
    await store.put(KEY, bytes, bytes.length);
    proxy.fail(fault, 1, is("HEAD"));
    expect(await store.head(KEY)).toEqual({ sizeBytes: 1_000 });
    proxy.fail(fault, 1, is("GET", "thing"));
    expect((await buffer(await store.get(KEY))).equals(bytes)).toBe(true);
    proxy.fail(fault, 1, is("GET", "list-type"));
    expect((await Array.fromAsync(store.list(KEY))).map(({ key }) => key)).toEqual([KEY]);
    proxy.fail(fault, 1, is("DELETE"));
    await store.delete(KEY);
    expect(proxy.seen.filter((one) => one.fault)).toHaveLength(5);
    expect(await direct.head(KEY)).toBeUndefined();
  });

  testS3(`${fault}: an upload is begun, completed and dropped for all that`, async () => {
    const at = await plantRunning(core.db);
    const bytes = randomBytes(1_000);
    proxy.fail(fault, 1, is("POST", "uploads"));
    const { id, url } = await beginOne(at, "f", bytes);
    await put(url, bytes);
    proxy.fail(fault, 1, isComplete);
    await commit(at, id);
    expect(await paths(at.buildId)).toEqual(["f"]);
    expect((await download(id)).equals(bytes)).toBe(true);
    expect(proxy.seen.filter((one) => one.fault)).toHaveLength(2);
  });
}

testS3(
  "a server that stays slow is asked a bounded number of times, and the caller is told to come again",
  async () => {
    const at = await plantRunning(core.db);
    const bytes = randomBytes(1_000);
    const { id, url } = await beginOne(at, "f", bytes);
    await put(url, bytes);
    proxy.calm();
    proxy.fail("slow down", 1_000);
    await expect(commit(at, id)).rejects.toMatchObject({ code: "unavailable", reason: "STORE_UNAVAILABLE" });
    expect(proxy.seen).toHaveLength(STORE_TRIES);
    expect(await paths(at.buildId)).toEqual([]);
    proxy.calm();
    await commit(at, id);
    expect(await paths(at.buildId)).toEqual(["f"]);
  },
);

for (const fault of LASTING) {
  testS3(`${fault}: refused is refused: nothing is made again, and nothing is listed`, async () => {
    const at = await plantRunning(core.db);
    const bytes = randomBytes(1_000);
    const { id, url } = await beginOne(at, "f", bytes);
    proxy.calm();
    proxy.fail(fault, 1, is("PUT"));
    expect((await put(url, bytes)).status).toBe(403);
    await put(url, bytes);
    proxy.fail(fault, 1, isComplete);
    await expect(commit(at, id)).rejects.toMatchObject({ code: "unavailable", reason: "STORE_UNAVAILABLE" });
    expect(proxy.seen.filter(isComplete)).toHaveLength(1);
    expect(await paths(at.buildId)).toEqual([]);
    await commit(at, id);
    expect(await paths(at.buildId)).toEqual(["f"]);
  });
}

testS3("skewed clocks and a refused key are said in one line by the check", async () => {
  proxy.fail("skewed", 1);
  await expect(store.check()).rejects.toThrow(/^The clocks of this machine and of .* differ too much; set them\.$/);
  proxy.fail("forbidden", 1);
  await expect(store.check()).rejects.toThrow(/^RITMO_S3_ACCESS_KEY_ID: the key may not list, write and delete/);
  await store.check();
});

testS3("a 200 with an error inside is no success", async () => {
  const at = await plantRunning(core.db);
  const bytes = randomBytes(1_000);
  const { id, url } = await beginOne(at, "f", bytes);
  await put(url, bytes);
  proxy.fail("error in 200", 1_000, isComplete);
  await expect(commit(at, id)).rejects.toMatchObject({ code: "unavailable" });
  expect(await paths(at.buildId)).toEqual([]);
  expect(proxy.seen.filter(isComplete)).toHaveLength(STORE_TRIES);
  proxy.calm();
  proxy.fail("error in 200", 1, isComplete);
  await commit(at, id);
  expect((await download(id)).equals(bytes)).toBe(true);
});

testS3("a wrong tag in the answer to a PUT is not believed, nor is the upload lost", async () => {
  const at = await plantRunning(core.db);
  const bytes = randomBytes(1_000);
  const { id, url } = await beginOne(at, "f", bytes);
  proxy.fail("wrong etag", 1, is("PUT"));
  expect((await put(url, bytes)).headers.get("etag")).toContain("000000");
  await commit(at, id);
  expect((await download(id)).equals(bytes)).toBe(true);
});

testS3("a read goes on where its connection broke, and a break that lasts is an error and never an end", async () => {
  const bytes = randomBytes(3 * MIB);
  await direct.put(KEY, bytes, bytes.length);
  for (const fault of ["cut body", "short body"] as const) {
    proxy.calm();
    proxy.fail(fault, 3, is("GET"));
    const range = { offset: 1_000, length: 2 * MIB };
    expect((await buffer(await store.get(KEY, range))).equals(bytes.subarray(1_000, 1_000 + 2 * MIB))).toBe(true);
    expect(proxy.seen).toHaveLength(4);
  }
  // Nothing more ever comes.
  proxy.calm();
  proxy.fail("cut body", 1);
  proxy.fail("reset", 1_000);
  await expect(store.get(KEY).then(buffer)).rejects.toThrow();
  expect(proxy.seen).toHaveLength(1 + STORE_TRIES);
});

testS3("a read that broke does not go on in another object", async () => {
  await direct.put(KEY, randomBytes(MIB), MIB);
  proxy.fail("cut body", 1);
  const reading = await store.get(KEY);
  await direct.put(KEY, randomBytes(MIB), MIB);
  await expect(buffer(reading)).rejects.toThrow("has another object there");
});

testS3("an answer that says less than it should is no artifact", async () => {
  const at = await plantRunning(core.db);
  const bytes = randomBytes(100_000);
  const { id, url } = await beginOne(at, "f", bytes);
  await put(url, bytes);
  proxy.fail("short body", 1, is("GET", "/f/"));
  proxy.fail("corrupted", 1, (request) => request.method === "GET" && !request.url.includes("?"));
  await expect(commit(at, id)).rejects.toMatchObject({ code: "data_loss", reason: "DIGEST_MISMATCH" });
  expect(await paths(at.buildId)).toEqual([]);
  // The worker sends it again.
  const again = await beginOne(at, "f", bytes);
  await put(again.url, bytes);
  await commit(at, again.id);
  proxy.calm();
  proxy.fail("corrupted", 1, is("GET"));
  await expect(download(id)).rejects.toMatchObject({ code: "data_loss", reason: "OBJECT_DAMAGED" });
  expect((await download(id)).equals(bytes)).toBe(true);
});

testS3("a log is marked as archived when the store gives it back, and reads right through faults", async () => {
  const at = await plantRunning(core.db);
  const text = Buffer.from(Array.from({ length: 60_000 }, (_, n) => `line ${n} ${Math.random()}\n`).join(""));
  await writeLog(core, at, text);
  await endAttempt(core.db, at.attemptId);
  const isLog = (request: S3Request) => request.url.includes("log-1.zst");
  proxy.fail("corrupted", 1, (request) => request.method === "GET" && isLog(request) && !request.url.includes(".idx"));
  // Once is a passing fault of the line: it is read again.
  expect(await archiveAttempt(core, at.attemptId)).toBe(true);
  const facts = await findLog(core.db.sql, at.attemptId, 1);
  for (const fault of ["corrupted", "cut body", "short body", "slow down", "reset"] as const) {
    proxy.calm();
    proxy.fail(fault, 1, isLog);
    expect((await readAll(facts)).equals(text)).toBe(true);
    expect(proxy.seen.some((one) => one.fault)).toBe(true);
  }
  proxy.fail("corrupted", 1_000, isLog);
  await expect(readAll(facts)).rejects.toMatchObject({ code: "data_loss", reason: "ARCHIVE_DAMAGED" });
});

testS3("a store that swallows what it was given does not get a log marked as archived", async () => {
  const at = await plantRunning(core.db);
  await writeLog(core, at, "precious\n");
  await endAttempt(core.db, at.attemptId);
  proxy.fail("corrupted", 1_000, is("GET", "log-1.zst"));
  await expect(archiveAttempt(core, at.attemptId)).rejects.toThrow();
  expect((await findLog(core.db.sql, at.attemptId, 1)).archived).toBe(false);
  proxy.calm();
  expect(await archiveAttempt(core, at.attemptId)).toBe(true);
});

testS3(
  "a store that is away for long loses no log: it stays in the database, readable, until the store is back",
  async () => {
    const at = await plantRunning(core.db);
    await writeLog(core, at, "patience\n");
    await endAttempt(core.db, at.attemptId);
    proxy.fail("reset", 1_000_000);
    for (let tries = 0; tries < 3; tries++) {
      expect(await archiveNext(core, 10)).toBe(0);
      expect((await readAll(await findLog(core.db.sql, at.attemptId, 1))).toString()).toBe("patience\n");
      await core.db.sql`UPDATE attempts SET archive_after = NULL`;
    }
    proxy.calm();
    await archiveNext(core, 10);
    const facts = await findLog(core.db.sql, at.attemptId, 1);
    expect(facts.archived).toBe(true);
    expect((await readAll(facts)).toString()).toBe("patience\n");
  },
);

testS3(
  "every fault at once, each in one request of twenty: every file is listed once and is what was promised",
  async () => {
    const faults: S3Fault[] = [
      ...PASSING,
      ...LASTING,
      "error in 200",
      "cut body",
      "short body",
      "corrupted",
      "wrong etag",
    ];
    for (const fault of faults) if (fault !== "silence") proxy.fail(fault, 1_000_000, () => Math.random() < 0.05);
    const at = await plantRunning(core.db);
    const files = new Map(Array.from({ length: 30 }, (_, n) => [`file-${n}`, randomBytes(2_000 + n)]));
    await Promise.all([...files].map(([path, bytes]) => deliver(at, path, bytes)));
    proxy.calm();
    expect((await paths(at.buildId)).sort()).toEqual([...files.keys()].sort());
    for (const { id, path } of (await list(at.buildId)).rows)
      expect((await download(id)).equals(files.get(path) as Buffer)).toBe(true);
  },
);

/** Delivers a file as a worker does: what may go well the next time is tried again, from its beginning. */
async function deliver(at: PlantedAttempt, path: string, bytes: Buffer): Promise<void> {
  for (let round = 0; ; round++) {
    try {
      const { artifactId, how } = await begin(at, path, bytes);
      if (how?.case === "signedParts") {
        const [part] = (how.value as { parts: { url: string; etag: string }[] }).parts;
        if (part?.etag === "") await put(part.url, bytes);
      }
      return await commit(at, artifactId as string);
    } catch (reason) {
      const { reason: why } = reason as { reason?: string };
      const passing = why === undefined || ["STORE_UNAVAILABLE", "UPLOAD_MISSING", "DIGEST_MISMATCH"].includes(why);
      if (round === 20 || !passing) throw reason;
    }
  }
}

testS3("what is created once is created once, also when the first answer is lost", async () => {
  proxy.fail("500 after apply", 1, is("PUT"));
  expect(await store.create("once/a", Buffer.from("mine"))).toBe(true);
  proxy.calm();
  proxy.fail("slow down", 1, is("PUT"));
  expect(await store.create("once/a", Buffer.from("theirs"))).toBe(false);
  expect((await buffer(await direct.get("once/a"))).toString()).toBe("mine");
  proxy.fail("forbidden", 1);
  await expect(store.get("once/b")).rejects.not.toBeInstanceOf(BlobMissing);
  await expect(store.get("once/b")).rejects.toBeInstanceOf(BlobMissing);
});

async function readAll(facts: Awaited<ReturnType<typeof findLog>>): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const piece of (await openLog(core, facts)).pieces(0)) parts.push(await bytesOf(piece));
  return Buffer.concat(parts);
}

async function beginOne(at: PlantedAttempt, path: string, bytes: Buffer): Promise<{ id: string; url: string }> {
  const { artifactId, how } = await begin(at, path, bytes);
  if (how?.case !== "signedParts") throw new Error(`not signed parts: ${how?.case}`);
  const [part] = (how.value as { parts: { url: string }[] }).parts;
  return { id: artifactId as string, url: part?.url as string };
}
