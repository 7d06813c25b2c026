import { randomBytes } from "node:crypto";
import { buffer } from "node:stream/consumers";
import { expect } from "vitest";
import { BlobMissing } from "../control-plane/store/blobs.ts";
import { STORE_TRIES } from "../control-plane/store/keep-trying.ts";
import { tellStoreFaults } from "../control-plane/store/tell-store-faults.ts";
import { artifactTools } from "./artifact-tools.ts";
import { type PlantedAttempt, plantRunning } from "./plant-log.ts";
import type { S3Fault, S3Request } from "./s3-fault-proxy.ts";
import { is, s3FaultScene } from "./s3-fault-scene.ts";

// Faults 29 and 30: what an S3 server does when it is ill. Retries are bounded and harmless, success is never false.

const MIB = 1024 * 1024;
const KEY = "o/org_1/b/bld_1/l/5e1f/a/thing";
const { scene, testS3 } = s3FaultScene();
const { begin, commit, list, paths, download } = artifactTools(() => scene.core);
const put = (url: string, bytes: Buffer) => fetch(url, { method: "PUT", body: new Uint8Array(bytes) });
const isComplete = (request: S3Request) => request.method === "POST" && /[?&]uploadId=/.test(request.url);

const PASSING: S3Fault[] = ["slow down", "500 after apply", "reset", "silence"];
const LASTING: S3Fault[] = ["skewed", "forbidden"];

for (const fault of PASSING) {
  const store = () => (fault === "silence" ? scene.brief : scene.store);
  testS3(`${fault}: every request is made again, and its effect is one`, async () => {
    const bytes = randomBytes(1_000);
    scene.proxy.fail(fault, 1, is("PUT"));
    await store().put(KEY, bytes, bytes.length);
    scene.proxy.fail(fault, 1, is("HEAD"));
    expect(await store().head(KEY)).toEqual({ sizeBytes: 1_000 });
    scene.proxy.fail(fault, 1, is("GET", "thing"));
    expect((await buffer(await store().get(KEY))).equals(bytes)).toBe(true);
    scene.proxy.fail(fault, 1, is("GET", "list-type"));
    expect((await Array.fromAsync(store().list(KEY))).map(({ key }) => key)).toEqual([KEY]);
    scene.proxy.fail(fault, 1, is("DELETE"));
    await store().delete(KEY);
    expect(scene.proxy.seen.filter((one) => one.fault)).toHaveLength(5);
    expect(await scene.direct.head(KEY)).toBeUndefined();
  });

  testS3(`${fault}: an upload is begun, completed and dropped for all that`, async () => {
    scene.core.blobs = tellStoreFaults(store());
    const at = await plantRunning(scene.core.db);
    const bytes = randomBytes(1_000);
    scene.proxy.fail(fault, 1, is("POST", "uploads"));
    const { id, url } = await beginOne(at, "f", bytes);
    await put(url, bytes);
    scene.proxy.fail(fault, 1, isComplete);
    await commit(at, id);
    expect(await paths(at.buildId)).toEqual(["f"]);
    expect((await download(id)).equals(bytes)).toBe(true);
    expect(scene.proxy.seen.filter((one) => one.fault)).toHaveLength(2);
    scene.core.blobs = tellStoreFaults(scene.store);
  });
}

testS3(
  "a server that stays slow is asked a bounded number of times, and the caller is told to come again",
  async () => {
    const at = await plantRunning(scene.core.db);
    const bytes = randomBytes(1_000);
    const { id, url } = await beginOne(at, "f", bytes);
    await put(url, bytes);
    scene.proxy.calm();
    scene.proxy.fail("slow down", 1_000);
    await expect(commit(at, id)).rejects.toMatchObject({ code: "unavailable", reason: "STORE_UNAVAILABLE" });
    expect(scene.proxy.seen).toHaveLength(STORE_TRIES);
    expect(await paths(at.buildId)).toEqual([]);
    scene.proxy.calm();
    await commit(at, id);
    expect(await paths(at.buildId)).toEqual(["f"]);
  },
);

for (const fault of LASTING) {
  testS3(`${fault}: refused is refused: nothing is made again, and nothing is listed`, async () => {
    const at = await plantRunning(scene.core.db);
    const bytes = randomBytes(1_000);
    const { id, url } = await beginOne(at, "f", bytes);
    scene.proxy.calm();
    scene.proxy.fail(fault, 1, is("PUT"));
    expect((await put(url, bytes)).status).toBe(403);
    await put(url, bytes);
    scene.proxy.fail(fault, 1, isComplete);
    await expect(commit(at, id)).rejects.toMatchObject({ code: "unavailable", reason: "STORE_UNAVAILABLE" });
    expect(scene.proxy.seen.filter(isComplete)).toHaveLength(1);
    expect(await paths(at.buildId)).toEqual([]);
    await commit(at, id);
    expect(await paths(at.buildId)).toEqual(["f"]);
  });
}

testS3("skewed clocks and a refused key are said in one line by the check", async () => {
  scene.proxy.fail("skewed", 1);
  await expect(scene.store.check()).rejects.toThrow(
    /^The clocks of this machine and of .* differ too much; set them\.$/,
  );
  scene.proxy.fail("forbidden", 1);
  await expect(scene.store.check()).rejects.toThrow(/^RITMO_S3_ACCESS_KEY_ID: the key may not list, write and delete/);
  await scene.store.check();
});

testS3("a 200 with an error inside is no success", async () => {
  const at = await plantRunning(scene.core.db);
  const bytes = randomBytes(1_000);
  const { id, url } = await beginOne(at, "f", bytes);
  await put(url, bytes);
  scene.proxy.fail("error in 200", 1_000, isComplete);
  await expect(commit(at, id)).rejects.toMatchObject({ code: "unavailable" });
  expect(await paths(at.buildId)).toEqual([]);
  expect(scene.proxy.seen.filter(isComplete)).toHaveLength(STORE_TRIES);
  scene.proxy.calm();
  scene.proxy.fail("error in 200", 1, isComplete);
  await commit(at, id);
  expect((await download(id)).equals(bytes)).toBe(true);
});

testS3("a wrong tag in the answer to a PUT is not believed, nor is the upload lost", async () => {
  const at = await plantRunning(scene.core.db);
  const bytes = randomBytes(1_000);
  const { id, url } = await beginOne(at, "f", bytes);
  scene.proxy.fail("wrong etag", 1, is("PUT"));
  expect((await put(url, bytes)).headers.get("etag")).toContain("000000");
  await commit(at, id);
  expect((await download(id)).equals(bytes)).toBe(true);
});

testS3("a read goes on where its connection broke, and a break that lasts is an error and never an end", async () => {
  const bytes = randomBytes(3 * MIB);
  await scene.direct.put(KEY, bytes, bytes.length);
  for (const fault of ["cut body", "short body"] as const) {
    scene.proxy.calm();
    scene.proxy.fail(fault, 3, is("GET"));
    const range = { offset: 1_000, length: 2 * MIB };
    expect((await buffer(await scene.store.get(KEY, range))).equals(bytes.subarray(1_000, 1_000 + 2 * MIB))).toBe(true);
    expect(scene.proxy.seen).toHaveLength(4);
  }
  // Nothing more ever comes.
  scene.proxy.calm();
  scene.proxy.fail("cut body", 1);
  scene.proxy.fail("reset", 1_000);
  await expect(scene.store.get(KEY).then(buffer)).rejects.toThrow();
  expect(scene.proxy.seen).toHaveLength(1 + STORE_TRIES);
});

testS3("a read that broke does not go on in another object", async () => {
  await scene.direct.put(KEY, randomBytes(MIB), MIB);
  scene.proxy.fail("cut body", 1);
  const reading = await scene.store.get(KEY);
  await scene.direct.put(KEY, randomBytes(MIB), MIB);
  await expect(buffer(reading)).rejects.toThrow("has another object there");
});

testS3("an answer that says less than it should is no artifact", async () => {
  const at = await plantRunning(scene.core.db);
  const bytes = randomBytes(100_000);
  const { id, url } = await beginOne(at, "f", bytes);
  await put(url, bytes);
  scene.proxy.fail("short body", 1, is("GET", "/f/"));
  scene.proxy.fail("corrupted", 1, (request) => request.method === "GET" && !request.url.includes("?"));
  await expect(commit(at, id)).rejects.toMatchObject({ code: "data_loss", reason: "DIGEST_MISMATCH" });
  expect(await paths(at.buildId)).toEqual([]);
  // The worker sends it again.
  const again = await beginOne(at, "f", bytes);
  await put(again.url, bytes);
  await commit(at, again.id);
  scene.proxy.calm();
  scene.proxy.fail("corrupted", 1, is("GET"));
  await expect(download(id)).rejects.toMatchObject({ code: "data_loss", reason: "OBJECT_DAMAGED" });
  expect((await download(id)).equals(bytes)).toBe(true);
});

testS3("every fault at once, in one request of five: every file is listed once and is what was promised", async () => {
  const faults: S3Fault[] = [
    ...PASSING,
    ...LASTING,
    "error in 200",
    "cut body",
    "short body",
    "corrupted",
    "wrong etag",
  ];
  for (const fault of faults) if (fault !== "silence") scene.proxy.fail(fault, 1_000_000, () => Math.random() < 0.02);
  const at = await plantRunning(scene.core.db);
  const files = new Map(Array.from({ length: 30 }, (_, n) => [`file-${n}`, randomBytes(2_000 + n)]));
  await Promise.all([...files].map(([path, bytes]) => deliver(at, path, bytes)));
  scene.proxy.calm();
  expect((await paths(at.buildId)).sort()).toEqual([...files.keys()].sort());
  for (const { id, path } of (await list(at.buildId)).rows)
    expect((await download(id)).equals(files.get(path) as Buffer)).toBe(true);
});

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
  scene.proxy.fail("500 after apply", 1, is("PUT"));
  expect(await scene.store.create("once/a", Buffer.from("mine"))).toBe(true);
  scene.proxy.calm();
  scene.proxy.fail("slow down", 1, is("PUT"));
  expect(await scene.store.create("once/a", Buffer.from("theirs"))).toBe(false);
  expect((await buffer(await scene.direct.get("once/a"))).toString()).toBe("mine");
  scene.proxy.fail("forbidden", 1);
  await expect(scene.store.get("once/b")).rejects.not.toBeInstanceOf(BlobMissing);
  await expect(scene.store.get("once/b")).rejects.toBeInstanceOf(BlobMissing);
});

async function beginOne(at: PlantedAttempt, path: string, bytes: Buffer): Promise<{ id: string; url: string }> {
  const { artifactId, how } = await begin(at, path, bytes);
  if (how?.case !== "signedParts") throw new Error(`not signed parts: ${how?.case}`);
  const [part] = (how.value as { parts: { url: string }[] }).parts;
  return { id: artifactId as string, url: part?.url as string };
}
