import { createHash, randomBytes } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import { ListArtifactsRequestSchema } from "@ritmo/contract/ritmo/artifact/v1/artifact_pb.js";
import { StepSchema } from "@ritmo/contract/ritmo/pipeline/v1/pipeline_pb.js";
import {
  BeginUploadRequestSchema,
  CommitUploadRequestSchema,
  FetchInputRequestSchema,
  ListInputsRequestSchema,
  type SendArtifactRequest,
  SendArtifactRequestSchema,
} from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type ByteFixture, byteFixture } from "../../testing/byte-fixture.ts";
import { endAttempt, type PlantedAttempt, plantRunning } from "../../testing/plant-log.ts";
import { plantOrganization } from "../../testing/plant-rows.ts";
import { findArtifact } from "./artifact-row.ts";
import { beginUpload } from "./begin-upload.ts";
import { commitUpload } from "./commit-upload.ts";
import { fetchInput } from "./fetch-input.ts";
import { listArtifacts } from "./list-artifacts.ts";
import { listInputs } from "./list-inputs.ts";
import { readObject } from "./read-object.ts";
import { sendArtifact } from "./send-artifact.ts";
import { sweepOrphans } from "./sweep-orphans.ts";

let core: ByteFixture;
beforeAll(async () => {
  core = await byteFixture();
});
afterAll(() => core[Symbol.asyncDispose]());

const sha256 = (bytes: Buffer | string) => createHash("sha256").update(bytes).digest();
const LOST = { code: "failed_precondition", reason: "LEASE_LOST" };

const begin = (at: PlantedAttempt, path: string, bytes: Buffer, more: { sha256?: Buffer; sizeBytes?: bigint } = {}) =>
  beginUpload(
    core,
    at.workerId,
    create(BeginUploadRequestSchema, {
      leaseId: at.leaseId,
      path,
      sizeBytes: BigInt(bytes.length),
      sha256: sha256(bytes),
      mode: 0o644,
      mediaType: "text/plain",
      ...more,
    }),
  );

const head = (at: PlantedAttempt, artifactId: string, offset: number): SendArtifactRequest =>
  create(SendArtifactRequestSchema, {
    message: { case: "head", value: { leaseId: at.leaseId, artifactId, offset: BigInt(offset) } },
  });

async function* requests(first: SendArtifactRequest, ...parts: (Buffer | Error)[]) {
  yield first;
  for (const part of parts) {
    if (part instanceof Error) throw part;
    yield create(SendArtifactRequestSchema, { message: { case: "data", value: part } });
  }
}

const commit = (at: PlantedAttempt, artifactId: string) =>
  commitUpload(core, at.workerId, create(CommitUploadRequestSchema, { leaseId: at.leaseId, artifactId }));

/** Uploads a file as a worker does; answers its id. */
async function upload(at: PlantedAttempt, path: string, bytes: Buffer | string): Promise<string> {
  const body = Buffer.from(bytes as Buffer);
  const { artifactId, how } = await begin(at, path, body);
  if (how?.case === "sendHere")
    await sendArtifact(core, at.workerId, requests(head(at, artifactId as string, 0), body));
  await commit(at, artifactId as string);
  return artifactId as string;
}

const list = async (build: string, more: { step?: string; attemptId?: string; paths?: string[] } = {}, size = 200) => {
  const request = create(ListArtifactsRequestSchema, { build, ...more });
  return listArtifacts(core.db.sql, "org_default", request, { size, after: undefined });
};
const paths = async (...args: Parameters<typeof list>) => (await list(...args)).rows.map((row) => row.path);

async function download(id: string, range = { offset: 0, length: 0 }): Promise<Buffer> {
  const artifact = await findArtifact(core.db.sql, "org_default", id);
  const parts = await Array.fromAsync(readObject(core.blobs, artifact, range));
  return Buffer.concat(parts.map((part) => part.data));
}

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

test("the list has the newest successful-or-last attempt of each step, by path, with globs and pages", async () => {
  const one = await plantRunning(core.db, "compile");
  const two = await plantRunning(core.db, "test", one.buildId);
  for (const path of ["dist/b.js", "dist/a.js", "dist/sub/c.js", "notes.md"]) await upload(one, path, path);
  await upload(two, "report.xml", "r");
  const [build] = await core.db.sql<{ name: string }[]>`
    SELECT j.name || '#' || b.number AS name FROM builds b JOIN jobs j ON j.id = b.job_id WHERE b.id = ${one.buildId}`;
  expect(await paths(build?.name as string)).toEqual([
    "dist/a.js",
    "dist/b.js",
    "dist/sub/c.js",
    "notes.md",
    "report.xml",
  ]);
  expect(await paths(one.buildId, { step: "test" })).toEqual(["report.xml"]);
  expect(await paths(one.buildId, { paths: ["dist/**", "!*/b.js"] })).toEqual(["dist/a.js", "dist/sub/c.js"]);
  expect(await paths(one.buildId, { paths: ["*.md", "*.xml"] })).toEqual(["notes.md", "report.xml"]);
  for (const bad of [["["], [""], ["a\nb"], ["x".repeat(2_000)], ["a\\"]]) {
    await expect(paths(one.buildId, { paths: bad })).rejects.toMatchObject({ reason: "GLOB_INVALID" });
  }
  // Page by page.
  const seen: string[] = [];
  for (let after: Awaited<ReturnType<typeof list>>["next"]; ; ) {
    const request = create(ListArtifactsRequestSchema, { build: one.buildId });
    const page = await listArtifacts(core.db.sql, "org_default", request, { size: 2, after });
    seen.push(...page.rows.map((row) => row.path));
    after = page.next;
    if (!after) break;
  }
  expect(seen).toEqual(["dist/a.js", "dist/b.js", "dist/sub/c.js", "notes.md", "report.xml"]);
  // A second attempt that failed does not hide what the first one, which passed, has kept.
  await endAttempt(core.db, one.attemptId, "success");
  await core.db.sql`
    INSERT INTO attempts (id, org_id, build_id, step_id, number, lease_id, session_id, worker_id, state, finished_at)
    SELECT 'att_second', org_id, build_id, step_id, 2, gen_random_uuid(), session_id, worker_id, 'failure', clock_timestamp()
    FROM attempts WHERE id = ${one.attemptId}`;
  expect(await paths(one.buildId, { step: "compile" })).toHaveLength(4);
  expect(await paths(one.buildId, { attemptId: "att_second" })).toEqual([]);
});

test("another organization's artifact, and an id of another kind, are refused", async () => {
  const at = await plantRunning(core.db);
  const id = await upload(at, "f", "x");
  const stranger = await plantOrganization(core.db.sql, "stranger");
  await expect(findArtifact(core.db.sql, stranger, id)).rejects.toMatchObject({ code: "not_found" });
  await expect(findArtifact(core.db.sql, "org_default", at.buildId)).rejects.toMatchObject({ reason: "WRONG_KIND" });
  await expect(findArtifact(core.db.sql, "org_default", "nonsense")).rejects.toMatchObject({ code: "not_found" });
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

/** A step that needs the inputs, running on a worker of its own. */
async function plantConsumer(buildId: string, inputs: { artifacts: string; to?: string }[]): Promise<PlantedAttempt> {
  const at = await plantRunning(core.db, `use-${crypto.randomUUID().slice(0, 8)}`, buildId);
  const spec = Buffer.from(toBinary(StepSchema, create(StepSchema, { name: "use", inputs })));
  await core.db.sql`UPDATE steps SET spec = ${spec} WHERE id = ${at.stepId}`;
  return at;
}

const inputs = (at: PlantedAttempt, pageToken = "") =>
  listInputs(core, at.workerId, create(ListInputsRequestSchema, { leaseId: at.leaseId, pageToken }));

test("an attempt brings in what the steps it names have kept, and nothing else", async () => {
  const made = await plantRunning(core.db, "compile");
  const id = await upload(made, "dist/app.js", "the app");
  const other = await upload(await plantRunning(core.db, "other", made.buildId), "secret", "no input");
  await endAttempt(core.db, made.attemptId);
  const at = await plantConsumer(made.buildId, [{ artifacts: "compile" }, { artifacts: "compile", to: "copy" }]);
  const { files } = await inputs(at);
  expect(files?.map((file) => [file.artifactId, file.path, file.sizeBytes, file.url])).toEqual([
    [id, "dist/app.js", 7n, ""],
    [id, "copy/dist/app.js", 7n, ""],
  ]);
  const fetch = (artifactId: string, offset = 0n, by = at) =>
    Array.fromAsync(
      fetchInput(core, by.workerId, create(FetchInputRequestSchema, { leaseId: by.leaseId, artifactId, offset })),
    );
  expect(Buffer.concat((await fetch(id)).map((m) => m.data)).toString()).toBe("the app");
  expect(Buffer.concat((await fetch(id, 4n)).map((m) => m.data)).toString()).toBe("app");
  await expect(fetch(other)).rejects.toMatchObject({ code: "not_found" });
  await expect(fetch(id, 8n)).rejects.toMatchObject({ code: "out_of_range" });
  await expect(inputs({ ...at, workerId: made.workerId })).rejects.toMatchObject(LOST);
  await endAttempt(core.db, at.attemptId);
  await expect(inputs(at)).rejects.toMatchObject(LOST);
  await expect(fetch(id)).rejects.toMatchObject(LOST);
});

test("inputs that would be the same file are told, with the way out", async () => {
  const one = await plantRunning(core.db, "one");
  const two = await plantRunning(core.db, "two", one.buildId);
  await upload(one, "out/report", "1");
  await upload(two, "out/report", "2");
  const clash = inputs(await plantConsumer(one.buildId, [{ artifacts: "one" }, { artifacts: "two" }]));
  await expect(clash).rejects.toMatchObject({
    reason: "INPUTS_COLLIDE",
    message: expect.stringContaining("out/report of one and out/report of two"),
  });
  const apart = await inputs(await plantConsumer(one.buildId, [{ artifacts: "one" }, { artifacts: "two", to: "2" }]));
  expect(apart.files?.map((file) => file.path)).toEqual(["out/report", "2/out/report"]);
  // A file where the other has a folder.
  const three = await plantRunning(core.db, "three", one.buildId);
  await upload(three, "out", "3");
  const under = inputs(await plantConsumer(one.buildId, [{ artifacts: "one" }, { artifacts: "three" }]));
  await expect(under).rejects.toMatchObject({ reason: "INPUTS_COLLIDE" });
});

test("many inputs come in pages", async () => {
  const made = await plantRunning(core.db, "many");
  await core.db.sql`
    INSERT INTO artifacts (id, org_id, build_id, step_id, attempt_id, path, size_bytes, sha256, mode, media_type, object_key, stored_at)
    SELECT 'art_p' || n, 'org_default', ${made.buildId}, ${made.stepId}, ${made.attemptId}, lpad(n::text, 5, '0'), 0, ${sha256("")},
      420, 'a/b', 'k' || n, clock_timestamp() FROM generate_series(1, 1200) n`;
  const at = await plantConsumer(made.buildId, [{ artifacts: "many" }]);
  const seen: string[] = [];
  for (let token = ""; ; ) {
    const page = await inputs(at, token);
    seen.push(...(page.files ?? []).map((file) => file.path as string));
    token = page.nextPageToken ?? "";
    if (token === "") break;
  }
  expect(seen).toHaveLength(1200);
  expect(new Set(seen).size).toBe(1200);
  await expect(inputs(at, "x")).rejects.toMatchObject({ reason: "PAGE_TOKEN_INVALID" });
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
