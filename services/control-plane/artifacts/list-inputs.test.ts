import { create, toBinary } from "@bufbuild/protobuf";
import { StepSchema } from "@ritmo/contract/ritmo/pipeline/v1/pipeline_pb.js";
import { FetchInputRequestSchema, ListInputsRequestSchema } from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import { afterAll, beforeAll, expect, test } from "vitest";
import { artifactTools, LOST, sha256 } from "../../testing/artifact-tools.ts";
import { type ByteFixture, byteFixture } from "../../testing/byte-fixture.ts";
import { endAttempt, type PlantedAttempt, plantRunning } from "../../testing/plant-log.ts";
import { fetchInput } from "./fetch-input.ts";
import { listInputs } from "./list-inputs.ts";

let core: ByteFixture;
beforeAll(async () => {
  core = await byteFixture();
});
afterAll(() => core[Symbol.asyncDispose]());

const { upload } = artifactTools(() => core);

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
