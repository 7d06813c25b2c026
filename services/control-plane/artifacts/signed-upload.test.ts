import { randomBytes } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { CommitUploadRequestSchema } from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import { afterAll, beforeAll, expect, test } from "vitest";
import { artifactTools } from "../../testing/artifact-tools.ts";
import { type ByteFixture, byteFixture } from "../../testing/byte-fixture.ts";
import { endAttempt, type PlantedAttempt, plantRunning } from "../../testing/plant-log.ts";
import { findWeed, NO_WEED, startWeed, type TestS3 } from "../../testing/start-weed.ts";
import { openS3Blobs } from "../store/s3-blobs.ts";
import { findArtifact } from "./artifact-row.ts";
import { commitUpload } from "./commit-upload.ts";
import { getDownloadUrl } from "./get-download-url.ts";
import { downloadSigner } from "./sign-download.ts";

const weed = findWeed();
const MIB = 1024 * 1024;

let core: ByteFixture;
let server: TestS3 | undefined;
beforeAll(async () => {
  core = await byteFixture();
  if (!weed) return;
  server = await startWeed(weed);
  const { endpoint, accessKeyId, secretAccessKey } = server;
  const bucket = await server.makeBucket();
  const keys = { accessKeyId, secretAccessKey, region: "us-east-1", pathStyle: true };
  core.blobs = openS3Blobs({ endpoint, publicEndpoint: undefined, bucket, ...keys });
});
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  await core[Symbol.asyncDispose]();
});

const { begin, commit, paths, download } = artifactTools(() => core);
const put = (url: string, bytes: Buffer) => fetch(url, { method: "PUT", body: new Uint8Array(bytes) });

/** A test that is counted as skipped, with the reason, where there is no S3 server. */
const testS3 = (name: string, run: () => Promise<void>) =>
  test(name, async ({ skip }) => {
    skip(weed === undefined, NO_WEED);
    await run();
  });

async function beginSigned(at: PlantedAttempt, path: string, bytes: Buffer) {
  const { artifactId, how } = await begin(at, path, bytes);
  if (how?.case !== "signedParts") throw new Error(`not signed parts: ${how?.case}`);
  return {
    id: artifactId as string,
    ...(how.value as { partBytes: bigint; parts: { number: number; url: string; etag: string }[] }),
  };
}

testS3("a small file is one PUT, listed once it is the right one", async () => {
  const at = await plantRunning(core.db);
  const bytes = randomBytes(100_000);
  const { id, parts } = await beginSigned(at, "small", bytes);
  expect(parts).toMatchObject([{ number: 1, etag: "" }]);
  await expect(commit(at, id)).rejects.toMatchObject({ reason: "UPLOAD_MISSING" });
  await put(parts[0]?.url as string, bytes);
  await commit(at, id);
  expect(await paths(at.buildId)).toEqual(["small"]);
  expect((await begin(at, "small", bytes)).how?.case).toBe("alreadyThere");
  expect((await download(id)).equals(bytes)).toBe(true);
  expect((await download(id, { offset: 7, length: 3 })).equals(bytes.subarray(7, 10))).toBe(true);
});

testS3("other bytes, fewer and more than promised are not listed, and the right ones may follow", async () => {
  const at = await plantRunning(core.db);
  const bytes = randomBytes(100_000);
  const sendAndCommit = async (sent: Buffer) => {
    const { id, parts } = await beginSigned(at, "small", bytes);
    await put(parts[0]?.url as string, sent);
    await commit(at, id);
    return id;
  };
  await expect(sendAndCommit(randomBytes(100_000))).rejects.toMatchObject({ reason: "DIGEST_MISMATCH" });
  await expect(sendAndCommit(bytes.subarray(1))).rejects.toMatchObject({ reason: "UPLOAD_MISSING" });
  await expect(sendAndCommit(Buffer.concat([bytes, bytes]))).rejects.toMatchObject({ reason: "DIGEST_MISMATCH" });
  expect(await paths(at.buildId)).toEqual([]);
  expect((await download(await sendAndCommit(bytes))).equals(bytes)).toBe(true);
});

testS3("a second PUT to the address of a listed artifact changes nothing", async () => {
  const at = await plantRunning(core.db);
  const bytes = randomBytes(1_000);
  const { id, parts } = await beginSigned(at, "small", bytes);
  const url = parts[0]?.url as string;
  await put(url, bytes);
  await commit(at, id);
  for (const body of [randomBytes(1_000), bytes]) expect((await put(url, body)).ok).toBe(false);
  await endAttempt(core.db, at.attemptId);
  expect((await put(url, randomBytes(1_000))).ok).toBe(false);
  const { url: address } = await getDownloadUrl(
    { blobs: core.blobs, signer: downloadSigner(core.db.sql), url: "" },
    await findArtifact(core.db.sql, "org_default", id),
  );
  expect(Buffer.from(await (await fetch(address)).arrayBuffer()).equals(bytes)).toBe(true);
});

testS3("an empty file needs no PUT", async () => {
  const at = await plantRunning(core.db);
  const { artifactId, how } = await begin(at, "empty", Buffer.alloc(0));
  expect(how?.case).toBe("alreadyThere");
  expect(await paths(at.buildId)).toEqual([]);
  await commit(at, artifactId as string);
  expect(await download(artifactId as string)).toHaveLength(0);
});

testS3("a large file goes in parts, and goes on with those that are there", async () => {
  const at = await plantRunning(core.db);
  const bytes = Buffer.alloc(70 * MIB, randomBytes(999));
  const first = await beginSigned(at, "large", bytes);
  const partOf = (number: number) =>
    bytes.subarray((number - 1) * Number(first.partBytes), number * Number(first.partBytes));
  expect(first.parts).toHaveLength(Math.ceil(bytes.length / Number(first.partBytes)));
  for (const part of first.parts.slice(1, 3)) await put(part.url, partOf(part.number));
  // After a break: the same upload, and what is left of it.
  const again = await beginSigned(at, "large", bytes);
  expect(again.id).toBe(first.id);
  expect(again.parts.map((part) => part.etag !== "")).toEqual([false, true, true, false, false]);
  const etags = new Map(again.parts.map((part) => [part.number, part.etag]));
  for (const part of again.parts.filter((one) => one.etag === "")) {
    etags.set(part.number, (await put(part.url, partOf(part.number))).headers.get("etag") as string);
  }
  const parts = [...etags].map(([number, etag]) => ({ number, etag }));
  const request = (given: typeof parts) =>
    create(CommitUploadRequestSchema, { leaseId: at.leaseId, artifactId: first.id, parts: given });
  await commitUpload(core, at.workerId, request(parts));
  await commitUpload(core, at.workerId, request(parts));
  const artifact = await findArtifact(core.db.sql, "org_default", first.id);
  expect(await core.blobs.head(artifact.key)).toEqual({ sizeBytes: bytes.length });
  expect((await download(first.id)).equals(bytes)).toBe(true);
});

testS3("parts that the store does not have, or forgot, are sent again", async () => {
  const at = await plantRunning(core.db);
  const bytes = Buffer.alloc(65 * MIB, randomBytes(777));
  const { id, parts } = await beginSigned(at, "large", bytes);
  await put(parts[0]?.url as string, bytes.subarray(0, 16 * MIB));
  // What a worker says of its parts is not asked: the store knows.
  const wrong = create(CommitUploadRequestSchema, {
    leaseId: at.leaseId,
    artifactId: id,
    parts: [{ number: 1, etag: '"00000000000000000000000000000000"' }],
  });
  await expect(commitUpload(core, at.workerId, wrong)).rejects.toMatchObject({ reason: "UPLOAD_MISSING" });
  const anew = await beginSigned(at, "large", bytes);
  expect(anew.parts.map((part) => part.etag !== "")).toEqual([true, false, false, false, false]);
  const [row] = await core.db.sql`SELECT upload_id, object_key FROM artifacts WHERE id = ${id}`;
  await core.blobs.signed?.abortParts(row?.["object_key"], row?.["upload_id"]);
  const again = await beginSigned(at, "large", bytes);
  expect(again.id).toBe(id);
  expect(again.parts).toHaveLength(5);
});
