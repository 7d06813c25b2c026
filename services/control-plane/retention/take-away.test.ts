import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { artifactTools, head, requests } from "../../testing/artifact-tools.ts";
import { type ByteFixture, byteFixture } from "../../testing/byte-fixture.ts";
import { endAttempt, type PlantedAttempt, plantRunning, writeLog } from "../../testing/plant-log.ts";
import { findWeed, NO_WEED, startWeed, type TestS3 } from "../../testing/start-weed.ts";
import { findArtifact } from "../artifacts/artifact-row.ts";
import { readObject } from "../artifacts/read-object.ts";
import { sendArtifact } from "../artifacts/send-artifact.ts";
import { archiveAttempt } from "../logs/archive-log.ts";
import type { BlobStore } from "../store/blobs.ts";
import { openS3Blobs } from "../store/s3-blobs.ts";
import { deleteDoomedBuilds } from "./delete-builds.ts";
import { deleteDoomedObjects } from "./delete-objects.ts";
import { sweepStrays } from "./sweep-strays.ts";

const weed = findWeed();
const HOUR_MS = 60 * 60 * 1000;
let core: ByteFixture;
let files: BlobStore;
let server: TestS3 | undefined;
beforeAll(async () => {
  core = await byteFixture();
  files = core.blobs;
  if (weed) server = await startWeed(weed);
});
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  await core[Symbol.asyncDispose]();
});

const openS3 = async (): Promise<BlobStore> => {
  const { endpoint, accessKeyId, secretAccessKey, makeBucket } = server as TestS3;
  const keys = { accessKeyId, secretAccessKey, region: "us-east-1", pathStyle: true, publicEndpoint: undefined };
  return openS3Blobs({ ...keys, endpoint, bucket: await makeBucket() });
};
const STORES = [
  { name: "a folder", absent: undefined, open: async () => files },
  { name: "an S3 server", absent: weed ? undefined : NO_WEED, open: openS3 },
];
const { begin, commit, paths, download } = artifactTools(() => core);
const keys = async (prefix = "") => (await Array.fromAsync(core.blobs.list(prefix))).map(({ key }) => key).sort();

async function deliver(at: PlantedAttempt, path: string, bytes: Buffer): Promise<string> {
  const { artifactId, how } = await begin(at, path, bytes);
  if (how?.case === "sendHere")
    await sendArtifact(core, at.workerId, requests(head(at, artifactId as string, 0), bytes));
  if (how?.case === "signedParts") {
    const [part] = (how.value as { parts: { url: string }[] }).parts;
    await fetch(part?.url as string, { method: "PUT", body: new Uint8Array(bytes) });
  }
  return artifactId as string;
}

/** A build that is over, with a log in the store, two artifacts, and an upload that nobody ended. */
async function plantKept() {
  const at = await plantRunning(core.db);
  await writeLog(core, at, "a log\n".repeat(1_000));
  const ids = [];
  for (const path of ["a", "b"]) {
    const id = await deliver(at, path, randomBytes(1_000));
    await commit(at, id);
    ids.push(id);
  }
  await deliver(at, "half", randomBytes(1_000));
  await endAttempt(core.db, at.attemptId, "failure");
  await archiveAttempt(core, at.attemptId);
  await core.db.sql`UPDATE steps SET state = 'failure', lease_id = NULL, session_id = NULL,
    finished_at = clock_timestamp() WHERE id = ${at.stepId}`;
  await core.db.sql`UPDATE builds SET state = 'failure', finished_at = clock_timestamp() WHERE id = ${at.buildId}`;
  return { ...at, ids, prefix: `o/org_default/b/${at.buildId}/` };
}
const doom = (buildId: string) => core.db.sql`UPDATE builds SET doomed_at = clock_timestamp() WHERE id = ${buildId}`;
const rowsOf = async (buildId: string) => {
  const [row] = await core.db.sql`SELECT
    (SELECT count(*)::int FROM builds WHERE id = ${buildId}) AS builds,
    (SELECT count(*)::int FROM steps WHERE build_id = ${buildId}) AS steps,
    (SELECT count(*)::int FROM attempts WHERE build_id = ${buildId}) AS attempts,
    (SELECT count(*)::int FROM artifacts WHERE build_id = ${buildId}) AS artifacts`;
  return row;
};
const unfinished = async (prefix: string) =>
  (await Array.fromAsync<object>(core.blobs.signed?.listUploads(prefix) ?? core.blobs.growing?.list(prefix) ?? []))
    .length;

describe.each(STORES)("$name", ({ absent, open }) => {
  const testStore = (name: string, run: () => Promise<void>) =>
    test(name, async ({ skip }) => {
      skip(absent !== undefined, absent);
      core.blobs = await open();
      await run();
    });

  testStore("a marked build goes rows first, then objects; its neighbour stays whole", async () => {
    const going = await plantKept();
    const staying = await plantKept();
    const before = await keys(staying.prefix);
    expect(await keys(going.prefix)).toHaveLength(2 + 3);
    expect(await unfinished(going.prefix)).toBe(1);
    expect(await deleteDoomedBuilds(core)).toBe(false);
    await doom(going.buildId);
    // Until the rows are gone all that is listed is there.
    expect(await paths(going.buildId)).toEqual(["a", "b"]);
    await deleteDoomedObjects(core);
    expect((await download(going.ids[0] as string)).length).toBe(1_000);
    await deleteDoomedBuilds(core);
    expect(await rowsOf(going.buildId)).toEqual({ builds: 0, steps: 0, attempts: 0, artifacts: 0 });
    await expect(findArtifact(core.db.sql, "org_default", going.ids[0] as string)).rejects.toMatchObject({
      code: "not_found",
    });
    expect(await keys(going.prefix)).toHaveLength(5);
    await deleteDoomedObjects(core);
    expect(await keys(going.prefix)).toEqual([]);
    expect(await unfinished(going.prefix)).toBe(0);
    expect(await keys(staying.prefix)).toEqual(before);
    expect(await paths(staying.buildId)).toEqual(["a", "b"]);
    expect(await core.db.sql`SELECT FROM doomed_objects`).toHaveLength(0);
  });

  testStore("a store that fails while objects go is asked again later, and nothing is left", async () => {
    const { buildId, prefix } = await plantKept();
    await doom(buildId);
    await deleteDoomedBuilds(core);
    let deletes = 0;
    const failing: BlobStore = {
      ...core.blobs,
      async delete(key) {
        if (++deletes > 1) throw new Error("the store is away");
        await core.blobs.delete(key);
      },
    };
    await deleteDoomedObjects({ ...core, blobs: failing });
    expect((await keys(prefix)).length).toBeGreaterThan(0);
    // It rests first.
    await deleteDoomedObjects(core);
    expect((await keys(prefix)).length).toBeGreaterThan(0);
    await core.db.sql`UPDATE doomed_objects SET after = clock_timestamp()`;
    await deleteDoomedObjects(core);
    expect(await keys(prefix)).toEqual([]);
  });

  testStore("a read that retention overtakes gives all, or an error, and never a part that looks whole", async () => {
    const at = await plantRunning(core.db);
    const bytes = randomBytes(3_000_000);
    const id = await deliver(at, "large", bytes);
    await commit(at, id);
    const artifact = await findArtifact(core.db.sql, "org_default", id);
    const reading = readObject(core.blobs, artifact, { offset: 0, length: 0 });
    const parts = [(await reading.next()).value?.data as Buffer];
    await core.blobs.delete(artifact.key);
    const rest = (async () => {
      for await (const { data } of reading) parts.push(data);
    })();
    const ended = await rest.then(
      () => Buffer.concat(parts).equals(bytes),
      (reason: unknown) => reason instanceof Error,
    );
    expect(ended).toBe(true);
    await expect(download(id)).rejects.toMatchObject({ reason: "OBJECT_DAMAGED" });
  });

  testStore("what no row knows goes after twelve hours, and only that", async () => {
    const kept = await plantKept();
    const running = await plantRunning(core.db);
    await deliver(running, "on its way", randomBytes(1_000));
    const late = await plantRunning(core.db);
    const lost = await deliver(late, "lost", randomBytes(1_000));
    await core.db.sql`DELETE FROM artifacts WHERE id = ${lost}`;
    const strays = [
      `o/org_default/b/bld_gone/l/${crypto.randomUUID()}/log-1.zst`,
      `o/org_default/b/bld_gone/l/${crypto.randomUUID()}/a/${"0".repeat(64)}-art_${"0".repeat(26)}`,
      // The right artifact at another attempt's place.
      `o/org_default/b/bld_gone/l/${late.leaseId}/a/${"0".repeat(64)}-${kept.ids[0]}`,
      `o/org_default/b/bld_gone/l/${kept.leaseId}/log-2.zst`,
    ];
    const foreign = ["o/notes.txt", "elsewhere/log-1.zst"];
    for (const key of [...strays, ...foreign]) await core.blobs.put(key, Buffer.from("x"), 1);
    const before = await keys();
    await sweepStrays(core, new Date(Date.now() + 11 * HOUR_MS));
    expect(await keys()).toEqual(before);
    const gone = await sweepStrays(core, new Date(Date.now() + 13 * HOUR_MS));
    expect(await keys()).toEqual(before.filter((key) => !strays.includes(key)));
    expect(gone.objects).toBe(strays.length);
    // The upload whose row is gone, and the one whose attempt is over.
    expect(await unfinished("o/")).toBe(1);
    expect(await unfinished(`o/org_default/b/${running.buildId}/`)).toBe(1);
    expect((await download(kept.ids[0] as string)).length).toBe(1_000);
    for (const key of foreign) await core.blobs.delete(key);
    await endAttempt(core.db, running.attemptId, "failure");
    await sweepStrays(core, new Date(Date.now() + 13 * HOUR_MS));
    expect(await unfinished("o/")).toBe(0);
  });
});

test("a build with more rows than a batch goes in batches, and a batch that breaks is made again", async () => {
  core.blobs = files;
  const { buildId, stepId, attemptId } = await plantKept();
  await core.db.sql`
    INSERT INTO artifacts (id, org_id, build_id, step_id, attempt_id, path, size_bytes, sha256, mode, media_type, object_key)
    SELECT 'art_batch_' || n, 'org_default', ${buildId}, ${stepId}, ${attemptId}, 'many/' || n, 0, sha256('x'), 420, 'a/b', 'k' || n
    FROM generate_series(1, 4500) n`;
  await doom(buildId);
  let transactions = 0;
  const breaking: typeof core.db = {
    ...core.db,
    transaction: (run) => {
      if (++transactions === 2) return Promise.reject(new Error("the database is away"));
      return core.db.transaction(run);
    },
  };
  await expect(deleteDoomedBuilds({ db: breaking })).rejects.toThrow("the database is away");
  expect(await rowsOf(buildId)).toMatchObject({ builds: 1, artifacts: 2_503 });
  await Promise.all([deleteDoomedBuilds(core), deleteDoomedBuilds(core)]);
  await deleteDoomedBuilds(core);
  expect(await rowsOf(buildId)).toEqual({ builds: 0, steps: 0, attempts: 0, artifacts: 0 });
});
