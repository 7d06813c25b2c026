import { randomBytes } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { CommitUploadRequestSchema } from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import { afterAll, beforeAll, expect, test } from "vitest";
import { artifactTools, head, LOST, requests, sha256 } from "../../testing/artifact-tools.ts";
import { type ByteFixture, byteFixture } from "../../testing/byte-fixture.ts";
import { endAttempt, plantRunning } from "../../testing/plant-log.ts";
import { findArtifact } from "./artifact-row.ts";
import { commitUpload } from "./commit-upload.ts";
import { sendArtifact } from "./send-artifact.ts";
import { sweepOrphans } from "./sweep-orphans.ts";

let core: ByteFixture;
beforeAll(async () => {
  core = await byteFixture();
});
afterAll(() => core[Symbol.asyncDispose]());

const { begin, commit, upload, list, paths, download } = artifactTools(() => core);

test("a file goes up, is listed when it is whole, and comes down with ranges", async () => {
  const at = await plantRunning(core.db);
  const bytes = randomBytes(700_000);
  const { artifactId, how } = await begin(at, "dist/app.bin", bytes);
  expect(how).toEqual({ case: "sendHere", value: { offset: 0n } });
  const id = artifactId as string;
  expect(await sendArtifact(core, at.workerId, requests(head(at, id, 0), bytes))).toBe(bytes.length);
  expect(await paths(at.buildId)).toEqual([]);
  await expect(findArtifact(core.db.sql, "org_default", id)).rejects.toMatchObject({ code: "not_found" });
  await commit(at, id);
  await commit(at, id);
  const [row] = (await list(at.buildId)).rows;
  expect(row).toMatchObject({ id, path: "dist/app.bin", step: "test", sizeBytes: bytes.length, mode: 0o644 });
  expect(row?.sha256.equals(sha256(bytes))).toBe(true);
  expect((await download(id)).equals(bytes)).toBe(true);
  expect((await download(id, { offset: 300_000, length: 5 })).equals(bytes.subarray(300_000, 300_005))).toBe(true);
  expect((await download(id, { offset: 699_999, length: 99 })).equals(bytes.subarray(699_999))).toBe(true);
  expect(await download(id, { offset: 700_000, length: 0 })).toHaveLength(0);
  await expect(download(id, { offset: 700_001, length: 0 })).rejects.toMatchObject({ code: "out_of_range" });
  expect((await begin(at, "dist/app.bin", bytes)).how?.case).toBe("alreadyThere");
});

test("an upload goes on after a break, from what is there", async () => {
  const at = await plantRunning(core.db);
  const bytes = randomBytes(500_000);
  const id = (await begin(at, "big", bytes)).artifactId as string;
  const broken = requests(head(at, id, 0), bytes.subarray(0, 200_000), new Error("the line broke"));
  await expect(sendArtifact(core, at.workerId, broken)).rejects.toThrow("the line broke");
  await expect(commit(at, id)).rejects.toMatchObject({ code: "not_found", reason: "UPLOAD_MISSING" });
  const again = await begin(at, "big", bytes);
  expect(again).toEqual({ artifactId: id, how: { case: "sendHere", value: { offset: 200_000n } } });
  const gap = sendArtifact(core, at.workerId, requests(head(at, id, 200_001), bytes.subarray(200_001)));
  await expect(gap).rejects.toMatchObject({
    reason: "UPLOAD_GAP",
    details: { metadata: { expected_offset: "200000" } },
  });
  await sendArtifact(core, at.workerId, requests(head(at, id, 200_000), bytes.subarray(200_000)));
  await commit(at, id);
  expect((await download(id)).equals(bytes)).toBe(true);
});

test("an empty file is a file", async () => {
  const at = await plantRunning(core.db);
  const id = (await begin(at, "empty", Buffer.alloc(0))).artifactId as string;
  await commit(at, id);
  expect(await download(id)).toHaveLength(0);
  expect(await paths(at.buildId)).toEqual(["empty"]);
});

test("other bytes than promised are never listed, and the right ones may follow", async () => {
  const at = await plantRunning(core.db);
  const right = Buffer.from("the right bytes");
  const id = (await begin(at, "f", right)).artifactId as string;
  await sendArtifact(core, at.workerId, requests(head(at, id, 0), Buffer.from("the wrong bytes")));
  await expect(commit(at, id)).rejects.toMatchObject({ code: "data_loss", reason: "DIGEST_MISMATCH" });
  const more = sendArtifact(core, at.workerId, requests(head(at, id, 0), right, Buffer.from("!")));
  await expect(more).rejects.toMatchObject({ code: "data_loss" });
  await sendArtifact(core, at.workerId, requests(head(at, id, 0), right.subarray(0, 5)));
  await expect(commit(at, id)).rejects.toMatchObject({ reason: "UPLOAD_MISSING" });
  expect(await paths(at.buildId)).toEqual([]);
  await sendArtifact(core, at.workerId, requests(head(at, id, 5), right.subarray(5)));
  await commit(at, id);
  expect((await download(id)).equals(right)).toBe(true);
  await expect(begin(at, "f", Buffer.from("something else"))).rejects.toMatchObject({ reason: "PATH_REFUSED" });
});

test("nothing is taken for a lease that is over or another worker's", async () => {
  const at = await plantRunning(core.db);
  const other = await plantRunning(core.db);
  const bytes = Buffer.from("x");
  await expect(begin({ ...at, workerId: other.workerId }, "f", bytes)).rejects.toMatchObject(LOST);
  const id = (await begin(at, "f", bytes)).artifactId as string;
  const theirs = sendArtifact(core, other.workerId, requests(head(at, id, 0), bytes));
  await expect(theirs).rejects.toMatchObject(LOST);
  // Another attempt's artifact by one's own lease.
  await expect(commit(other, id)).rejects.toMatchObject({ code: "not_found" });
  await sendArtifact(core, at.workerId, requests(head(at, id, 0), bytes));
  await endAttempt(core.db, at.attemptId);
  await expect(commit(at, id)).rejects.toMatchObject(LOST);
  await expect(begin(at, "g", bytes)).rejects.toMatchObject(LOST);
  await expect(sendArtifact(core, at.workerId, requests(head(at, id, 0), bytes))).rejects.toMatchObject(LOST);
  expect(await paths(at.buildId)).toEqual([]);
});

test("an attempt that ends while its upload is verified does not publish it", async () => {
  const at = await plantRunning(core.db);
  const bytes = Buffer.from("late");
  const id = (await begin(at, "f", bytes)).artifactId as string;
  await sendArtifact(core, at.workerId, requests(head(at, id, 0), bytes));
  const blobs = {
    ...core.blobs,
    get: async (...args: Parameters<typeof core.blobs.get>) => {
      await endAttempt(core.db, at.attemptId);
      return core.blobs.get(...args);
    },
  };
  const request = create(CommitUploadRequestSchema, { leaseId: at.leaseId, artifactId: id });
  await expect(commitUpload({ ...core, blobs }, at.workerId, request)).rejects.toMatchObject(LOST);
  expect(await paths(at.buildId)).toEqual([]);
});

test("too large, too many, malformed", async () => {
  const at = await plantRunning(core.db);
  const bytes = Buffer.from("x");
  await expect(begin(at, "f", bytes, { sizeBytes: 2n ** 40n })).rejects.toMatchObject({ reason: "ARTIFACT_TOO_LARGE" });
  await expect(begin(at, "f", bytes, { sha256: Buffer.alloc(31) })).rejects.toMatchObject({ code: "invalid_argument" });
  await expect(begin(at, "../f", bytes)).rejects.toMatchObject({ reason: "PATH_REFUSED" });
  await core.db.sql`
    INSERT INTO artifacts (id, org_id, build_id, step_id, attempt_id, path, size_bytes, sha256, mode, media_type, object_key)
    SELECT 'art_' || n, 'org_default', ${at.buildId}, ${at.stepId}, ${at.attemptId}, 'many/' || n, 0, ${sha256("")}, 420, 'a/b', 'k' || n
    FROM generate_series(1, 10000) n`;
  await expect(begin(at, "one more", bytes)).rejects.toMatchObject({ reason: "TOO_MANY_ARTIFACTS" });
  expect((await begin(at, "many/7", Buffer.alloc(0))).artifactId).toBe("art_7");
});

test("a stored object that was changed or went away is said to be damaged", async () => {
  const at = await plantRunning(core.db);
  const id = await upload(at, "f", "precious");
  const { key } = await findArtifact(core.db.sql, "org_default", id);
  await core.blobs.put(key, Buffer.from("PRECIOUS"), 8);
  await expect(download(id)).rejects.toMatchObject({ code: "data_loss", reason: "OBJECT_DAMAGED" });
  await core.blobs.put(key, Buffer.from("prec"), 4);
  await expect(download(id, { offset: 2, length: 4 })).rejects.toMatchObject({ reason: "OBJECT_DAMAGED" });
  await core.blobs.delete(key);
  await expect(download(id)).rejects.toMatchObject({ reason: "OBJECT_DAMAGED" });
});

test("what was never committed goes after a day, once its attempt is over", async () => {
  const at = await plantRunning(core.db);
  const kept = await upload(at, "kept", "k");
  const bytes = Buffer.from("never committed");
  const id = (await begin(at, "orphan", bytes)).artifactId as string;
  await sendArtifact(core, at.workerId, requests(head(at, id, 0), bytes));
  const rows = () => core.db.sql`SELECT id FROM artifacts WHERE attempt_id = ${at.attemptId} ORDER BY id`;
  const tomorrow = new Date(Date.now() + 25 * 60 * 60 * 1000);
  await sweepOrphans(core, tomorrow);
  expect(await rows()).toHaveLength(2);
  await endAttempt(core.db, at.attemptId);
  await sweepOrphans(core, new Date());
  expect(await rows()).toHaveLength(2);
  await sweepOrphans(core, tomorrow);
  expect(await rows()).toEqual([{ id: kept }]);
  const [{ key }] = [await findArtifact(core.db.sql, "org_default", kept)];
  expect(await core.blobs.growing?.size(key.replace(/[^/]*$/, `${sha256(bytes).toString("hex")}-${id}`))).toBe(0);
  expect((await download(kept)).toString()).toBe("k");
});

test("an orphan that the store does not remove holds up none behind it, and goes at a later sweep", async () => {
  const at = await plantRunning(core.db);
  const ids: string[] = [];
  for (const name of ["one", "two", "three"]) {
    const bytes = Buffer.from(`orphan ${name}`);
    const id = (await begin(at, name, bytes)).artifactId as string;
    await sendArtifact(core, at.workerId, requests(head(at, id, 0), bytes));
    ids.push(id);
  }
  await endAttempt(core.db, at.attemptId);
  const [first = "", ...others] = ids.sort();
  const left = async () =>
    (await core.db.sql`SELECT id FROM artifacts WHERE attempt_id = ${at.attemptId}`).map((row) => row["id"]);
  const blobs = {
    ...core.blobs,
    delete: async (key: string) => {
      if (key.endsWith(first)) throw new Error("the store says no");
      await core.blobs.delete(key);
    },
  };
  expect(others).toHaveLength(2);
  const tomorrow = new Date(Date.now() + 25 * 60 * 60 * 1000);
  await sweepOrphans({ ...core, blobs }, tomorrow);
  expect(await left()).toEqual([first]);
  await sweepOrphans(core, tomorrow);
  expect(await left()).toEqual([]);
});
