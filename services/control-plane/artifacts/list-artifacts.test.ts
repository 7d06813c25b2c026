import { create } from "@bufbuild/protobuf";
import { ListArtifactsRequestSchema } from "@ritmo/contract/ritmo/artifact/v1/artifact_pb.js";
import { afterAll, beforeAll, expect, test } from "vitest";
import { artifactTools } from "../../testing/artifact-tools.ts";
import { type ByteFixture, byteFixture } from "../../testing/byte-fixture.ts";
import { endAttempt, plantRunning } from "../../testing/plant-log.ts";
import { plantOrganization } from "../../testing/plant-rows.ts";
import { findArtifact } from "./artifact-row.ts";
import { type ArtifactPosition, listArtifacts } from "./list-artifacts.ts";

let core: ByteFixture;
beforeAll(async () => {
  core = await byteFixture();
});
afterAll(() => core[Symbol.asyncDispose]());

const { upload, paths } = artifactTools(() => core);

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
  for (let after: ArtifactPosition | undefined; ; ) {
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
