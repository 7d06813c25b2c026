import { create } from "@bufbuild/protobuf";
import { DiagnosticSchema } from "@ritmo/contract/ritmo/pipeline/v1/pipeline_pb.js";
import { expect, test } from "vitest";
import { newId } from "../../process/new-id.ts";
import { ORG } from "../../testing/build-fixture.ts";
import { freshDatabase } from "../../testing/fresh-database.ts";
import { createBuild } from "./create-build.ts";
import { endPendingBuild } from "./end-build.ts";

test("a pending build ends once, also where its pipeline quotes what no database keeps", async () => {
  await using fresh = await freshDatabase();
  const { db } = fresh;
  const jobId = newId("job");
  await db.sql`INSERT INTO jobs (id, org_id, name, repository, pipeline_text) VALUES (${jobId}, ${ORG}, 'j', '', 'x')`;
  const id = await createBuild(db.sql, { orgId: ORG, jobId, source: undefined, createdBy: "test" });
  const diagnostics = [create(DiagnosticSchema, { message: "a step has no key `\ud83d`, nor `\0`", line: 3 })];
  const end = { outcome: "failure", reason: "PIPELINE_INVALID", cause: "no key `\ud83d\0`", diagnostics } as const;
  expect(await endPendingBuild(db, id, { ...end, diagnostics })).toBe(true);
  expect(await endPendingBuild(db, id, { ...end, diagnostics })).toBe(false);
  const [row] = await db.sql`SELECT state, cause, diagnostics FROM builds WHERE id = ${id}`;
  expect(row).toMatchObject({
    state: "failure",
    cause: "no key `\ufffd\ufffd`",
    diagnostics: [{ message: "a step has no key `\ufffd`, nor `\ufffd`", line: 3 }],
  });
});
