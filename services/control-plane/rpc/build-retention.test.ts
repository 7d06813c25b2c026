import { randomUUID } from "node:crypto";
import { BuildService } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import { JobService } from "@ritmo/contract/ritmo/job/v1/job_pb.js";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openLogger } from "../../process/logger.ts";
import { callHandlers, refusalOf } from "../../testing/call-handlers.ts";
import { type FreshDatabase, freshDatabase } from "../../testing/fresh-database.ts";
import { plantBuild, plantJob, plantOrganization } from "../../testing/plant-rows.ts";
import type { Core } from "../core.ts";
import { openHints } from "../store/hints.ts";
import { buildRetention } from "./build-retention.ts";
import { jobService } from "./job-service.ts";

let fresh: FreshDatabase;
beforeAll(async () => {
  fresh = await freshDatabase();
});
afterAll(() => fresh[Symbol.asyncDispose]());

const config = { retentionDays: 0, retentionBuilds: 2, retentionJobGib: 0, retentionGib: 0 } as Core["config"];
const as = (orgId = "org_default") =>
  callHandlers(BuildService, buildRetention({ db: fresh.db, config, url: "http://ritmo" }), { orgId });

test("a build is pinned and unpinned by its name, each once, and another tenant's is not there", async () => {
  const jobId = await plantJob(fresh.db.sql, "pins");
  await plantBuild(fresh.db.sql, jobId, { state: "failure" });
  const builds = as();
  const request = { requestId: randomUUID(), name: "pins#1" };
  const pinned = await builds.pinBuild(request);
  expect(pinned.build).toMatchObject({ name: "pins#1", pinned: true, revision: 2n });
  expect(await builds.pinBuild(request)).toEqual(pinned);
  expect((await builds.pinBuild({ requestId: randomUUID(), name: "pins#1" })).build?.revision).toBe(2n);
  const unpinned = await builds.unpinBuild({ requestId: randomUUID(), name: "pins#1" });
  expect(unpinned.build).toMatchObject({ pinned: false, revision: 3n });
  const stranger = as(await plantOrganization(fresh.db.sql, "strangers"));
  expect(await refusalOf(stranger.pinBuild({ requestId: randomUUID(), name: "pins#1" }))).toMatchObject({
    code: "NotFound",
  });
  await fresh.db.sql`UPDATE builds SET doomed_at = clock_timestamp() WHERE job_id = ${jobId}`;
  expect(await refusalOf(builds.pinBuild({ requestId: randomUUID(), name: "pins#1" }))).toMatchObject({
    code: "FailedPrecondition",
    reason: "BUILD_EXPIRED",
  });
});

test("a preview names the oldest and counts all, of the caller's organization alone", async () => {
  const jobId = await plantJob(fresh.db.sql, "many");
  for (let i = 0; i < 5; i++) await plantBuild(fresh.db.sql, jobId, { state: "failure" });
  await fresh.db.sql`UPDATE builds SET kept_bytes = 10 WHERE job_id = ${jobId}`;
  const preview = await as().previewRetention({ job: "many", pageSize: 2 });
  expect(preview).toMatchObject({ totalBuilds: 3n, totalBytes: 30n });
  expect(preview.builds.map(({ name, reason, bytes }) => [name, reason, bytes])).toEqual([
    ["many#1", "COUNT", 10n],
    ["many#2", "COUNT", 10n],
  ]);
  expect((await as().previewRetention({ job: "many", builds: 0 })).totalBuilds).toBe(0n);
  expect((await as().previewRetention({ job: "many", builds: 0, bytes: 20n })).totalBuilds).toBe(3n);
  const stranger = as(await plantOrganization(fresh.db.sql, "others"));
  expect((await stranger.previewRetention({})).totalBuilds).toBe(0n);
  expect(await refusalOf(stranger.previewRetention({ job: "many" }))).toMatchObject({ code: "NotFound" });
  expect(await refusalOf(as().previewRetention({ days: 36_501 }))).toMatchObject({ code: "InvalidArgument" });
});

test("a job's rules are set, told and taken back", async () => {
  await using hints = {
    ...openHints(fresh.url, openLogger("test", "silent")),
    [Symbol.asyncDispose]: () => hints.close(),
  };
  const handlers = jobService({ db: fresh.db, hints, config: { allowLocalRepositories: false } });
  const jobs = callHandlers(JobService, handlers);
  const job = { name: "rules", repository: "https://git.example.com/x.git", retention: { days: 30, bytes: 0n } };
  const made = await jobs.createJob({ requestId: randomUUID(), job });
  expect(made.job?.retention).toMatchObject({ days: 30, bytes: 0n });
  expect(made.job?.retention?.builds).toBeUndefined();
  const change = (retention?: object) =>
    jobs.updateJob({
      requestId: randomUUID(),
      name: "rules",
      updateMask: { paths: ["retention"] },
      job: retention ? { retention } : {},
    });
  expect((await change({ builds: 5 })).job?.retention).toMatchObject({ builds: 5 });
  expect((await jobs.getJob({ name: "rules" })).job?.retention?.days).toBeUndefined();
  expect((await change()).job?.retention).toBeUndefined();
  expect(await refusalOf(change({ days: 36_501 }))).toMatchObject({ code: "InvalidArgument" });
});
