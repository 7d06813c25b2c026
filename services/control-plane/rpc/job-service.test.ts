import { randomUUID } from "node:crypto";
import type { Client, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema } from "@ritmo/contract/google/rpc/error_details_pb.js";
import { JobOrder, JobService } from "@ritmo/contract/ritmo/job/v1/job_pb.js";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openLogger } from "../../process/logger.ts";
import { callHandlers, refusalOf } from "../../testing/call-handlers.ts";
import { type FreshDatabase, freshDatabase } from "../../testing/fresh-database.ts";
import { plantBuild, plantOrganization } from "../../testing/plant-rows.ts";
import { createBuild } from "../builds/create-build.ts";
import { type Hints, openHints } from "../store/hints.ts";
import { jobService } from "./job-service.ts";

let fresh: FreshDatabase;
let hints: Hints;
let jobs: Client<typeof JobService>;
const REPOSITORY = "https://git.example.com/hello.git";
const PIPELINE = "version: 1\nsteps:\n  test:\n    run: echo hello\n    checkout: false\n";

beforeEach(async () => {
  fresh = await freshDatabase();
  hints = openHints(fresh.url, openLogger("test", "silent"));
  jobs = as("org_default");
});
afterEach(async () => {
  await hints.close();
  await fresh[Symbol.asyncDispose]();
});

function as(orgId: string, allowLocalRepositories = false) {
  const handlers = jobService({ db: fresh.db, hints, config: { allowLocalRepositories } });
  return callHandlers(JobService, handlers, { orgId });
}

const create = async (name: string, rest: object = {}) =>
  (await jobs.createJob({ requestId: randomUUID(), job: { name, repository: REPOSITORY, ...rest } })).job;

test("a job is made with what was left out filled in, and read by name, id and address", async () => {
  const job = await create("hello");
  expect(job).toMatchObject({
    name: "hello",
    repository: REPOSITORY,
    defaultBranch: "main",
    pipeline: { case: "pipelinePath", value: ".ritmo.yaml" },
    revision: 1n,
    paused: false,
  });
  expect(job?.lastBuild).toBeUndefined();
  await plantBuild(fresh.db.sql, job?.id ?? "", { state: "failure" });
  for (const name of ["hello", job?.id ?? "", "https://ci.example.com/jobs/hello"])
    expect((await jobs.getJob({ name })).job?.lastBuild).toMatchObject({ number: 1n, state: "failure" });
});

test("the same request has one effect; its id with another request is refused", async () => {
  const requestId = randomUUID();
  const request = { requestId, job: { name: "hello", repository: REPOSITORY } };
  const [first, again] = [await jobs.createJob(request), await jobs.createJob(request)];
  expect(again).toEqual(first);
  const other = { requestId, job: { name: "other", repository: REPOSITORY } };
  expect(await refusalOf(jobs.createJob(other))).toMatchObject({ code: "AlreadyExists", reason: "REQUEST_ID_REUSED" });
  expect(await refusalOf(jobs.createJob({ job: request.job }))).toMatchObject({ code: "InvalidArgument" });
});

test("a name is one job's, also of many at once; a deleted job's name is free", async () => {
  const results = await Promise.allSettled(Array.from({ length: 8 }, () => create("hello")));
  expect(results.filter((result) => result.status === "fulfilled")).toHaveLength(1);
  expect(await refusalOf(create("hello"))).toMatchObject({ code: "AlreadyExists", reason: "JOB_EXISTS" });
  await jobs.deleteJob({ requestId: randomUUID(), name: "hello" });
  expect(await refusalOf(jobs.getJob({ name: "hello" }))).toMatchObject({ code: "NotFound", reason: "JOB_NOT_FOUND" });
  expect((await create("hello"))?.revision).toBe(1n);
});

test.each<[string, object, RegExp]>([
  ["a capital in the name", { name: "Hello" }, /^job\.name: .*lower-case/],
  ["no name", { name: "" }, /^job\.name/],
  ["a long name", { name: "a".repeat(64) }, /^job\.name/],
  ["a NUL in the name", { name: "a\0" }, /^job\.name/],
  ["no repository", { repository: "" }, /^job\.repository: is empty/],
  ["credentials in the address", { repository: "https://u:p@example.com/x" }, /RITMO_GIT_CREDENTIALS/],
  ["this machine's address", { repository: "https://[::ffff:7f00:1]/x" }, /own machine/],
  ["a program as an address", { repository: "ext::sh" }, /remote helper/],
  ["a branch that git refuses", { defaultBranch: "a..b" }, /^job\.default_branch/],
  ["a branch like an option", { defaultBranch: "--upload-pack=x" }, /^job\.default_branch/],
  ["a path that climbs", { pipeline: { case: "pipelinePath", value: "../x" } }, /^job\.pipeline_path/],
  ["an absolute path", { pipeline: { case: "pipelinePath", value: "/etc/passwd" } }, /^job\.pipeline_path/],
  ["a long description", { description: "x".repeat(2_001) }, /^job\.description/],
  ["a NUL in the description", { description: "\0" }, /^job\.description/],
])("%s is refused by its field", async (_, change, message) => {
  const job = { name: "hello", repository: REPOSITORY, ...change };
  const refused = await refusalOf(jobs.createJob({ requestId: randomUUID(), job }));
  expect(refused).toMatchObject({ code: "InvalidArgument", message: expect.stringMatching(message) });
});

test("faults of a pipeline are named with line and column, all of them", async () => {
  const value = "version: 1\nsteps:\n  test:\n    rum: echo\n  Bad Name:\n    run: x\n";
  const call = jobs.createJob({
    requestId: randomUUID(),
    job: { name: "hello", repository: REPOSITORY, pipeline: { case: "pipelineText", value } },
  });
  const error = (await call.catch((reason: unknown) => reason)) as ConnectError;
  const violations = error.findDetails(BadRequestSchema)[0]?.fieldViolations ?? [];
  expect(violations.length).toBeGreaterThan(1);
  for (const { field, description } of violations) {
    expect(field).toBe("job.pipeline_text");
    expect(description).toMatch(/^\d+:\d+: /);
  }
  expect(violations.map(({ description }) => description)).toContainEqual(expect.stringMatching(/^4:5: .*rum/));
  expect(await refusalOf(call)).toMatchObject({ reason: "PIPELINE_INVALID" });
});

test("a job with its own pipeline may have no repository; one that reads it may not", async () => {
  const own = await create("own", { repository: "", pipeline: { case: "pipelineText", value: PIPELINE } });
  expect(own?.pipeline).toEqual({ case: "pipelineText", value: PIPELINE });
  const update = (job: object, paths: string[]) =>
    jobs.updateJob({ requestId: randomUUID(), name: "own", job, updateMask: { paths } });
  const toPath = { pipeline: { case: "pipelinePath" as const, value: "ci.yaml" } };
  expect(await refusalOf(update(toPath, ["pipeline_path"]))).toMatchObject({ code: "InvalidArgument" });
  const both = await update({ ...toPath, repository: REPOSITORY }, ["pipeline_path", "repository"]);
  expect(both.job).toMatchObject({ repository: REPOSITORY, pipeline: { case: "pipelinePath", value: "ci.yaml" } });
  expect(await refusalOf(update({ repository: "" }, ["repository"]))).toMatchObject({ code: "InvalidArgument" });
});

test("local repositories are taken where the server allows them", async () => {
  const job = { name: "local", repository: "file:///tmp/hello.git" };
  expect(await refusalOf(jobs.createJob({ requestId: randomUUID(), job }))).toMatchObject({ code: "InvalidArgument" });
  expect((await as("org_default", true).createJob({ requestId: randomUUID(), job })).job?.repository).toBe(
    job.repository,
  );
});

test("an update changes what the mask names and nothing else, from a revision that was seen", async () => {
  await create("hello", { description: "old" });
  const update = (job: object, paths: string[], revision = 0n) =>
    jobs.updateJob({ requestId: randomUUID(), name: "hello", job, updateMask: { paths }, revision });
  const change = { description: "new", paused: true, name: "other" };
  const changed = (await update(change, ["description", "paused"], 1n)).job;
  expect(changed).toMatchObject({ name: "hello", description: "new", paused: true, revision: 2n });
  expect(await refusalOf(update({ description: "late" }, ["description"], 1n))).toMatchObject({
    code: "Aborted",
    reason: "REVISION_MISMATCH",
  });
  expect((await update({ description: "" }, ["description"], 2n)).job).toMatchObject({ description: "", paused: true });
  expect((await update({ name: "renamed" }, ["name"])).job?.name).toBe("renamed");
  expect(await refusalOf(jobs.getJob({ name: "hello" }))).toMatchObject({ code: "NotFound" });
});

test("a mask that is empty, unknown, contradictory or without its value is refused", async () => {
  await create("hello");
  await create("taken");
  const update = (job: object, paths: string[]) =>
    refusalOf(jobs.updateJob({ requestId: randomUUID(), name: "hello", job, updateMask: { paths } }));
  for (const paths of [[], ["id"], ["revision"], ["nonsense"], ["pipeline_text"], ["pipeline_path", "pipeline_text"]])
    expect(await update({ name: "x" }, paths)).toMatchObject({ code: "InvalidArgument" });
  expect(await update({ name: "taken" }, ["name"])).toMatchObject({ code: "AlreadyExists", reason: "JOB_EXISTS" });
  expect((await jobs.getJob({ name: "hello" })).job?.revision).toBe(1n);
});

test("a job with builds that are not over is not deleted; afterwards its builds stay", async () => {
  const job = await create("hello");
  const build = await plantBuild(fresh.db.sql, job?.id ?? "", { state: "pending" });
  const remove = () => jobs.deleteJob({ requestId: randomUUID(), name: "hello" });
  expect(await refusalOf(remove())).toMatchObject({
    code: "FailedPrecondition",
    reason: "JOB_BUSY",
    message: expect.stringContaining("hello#1 is not over"),
  });
  await fresh.db.sql`UPDATE builds SET state = 'cancellation', finished_at = clock_timestamp() WHERE id = ${build}`;
  await remove();
  expect(await fresh.db.sql`SELECT id FROM builds`).toHaveLength(1);
  expect(await refusalOf(remove())).toMatchObject({ code: "NotFound" });
});

test("of a deletion and a build at once, one comes first and the other is refused", async () => {
  for (let i = 0; i < 12; i++) {
    const job = await create(`race-${i}`);
    const build = { orgId: "org_default", jobId: job?.id ?? "", source: undefined, createdBy: "somebody" };
    const [made, deleted] = await Promise.allSettled([
      createBuild(fresh.db.sql, build),
      jobs.deleteJob({ requestId: randomUUID(), name: `race-${i}` }),
    ]);
    expect([made.status, deleted.status].sort()).toEqual(["fulfilled", "rejected"]);
  }
});

test("lists are filtered and ordered on the server, page by page", async () => {
  for (const name of ["c", "a", "b", "d"])
    await create(name, { description: name === "d" ? "100%_done" : `the ${name} job` });
  const names = async (request: object) => {
    const all: string[] = [];
    for (let pageToken = ""; ; ) {
      const page = await jobs.listJobs({ pageSize: 2, ...request, pageToken });
      expect(page.jobs.length).toBeLessThanOrEqual(2);
      all.push(...page.jobs.map((job) => job.name));
      if (!page.nextPageToken) return all;
      pageToken = page.nextPageToken;
    }
  };
  expect(await names({})).toEqual(["a", "b", "c", "d"]);
  expect((await names({ order: JobOrder.CREATED_DESC })).sort()).toEqual(["a", "b", "c", "d"]);
  expect(await names({ query: "THE job" })).toEqual(["a", "b", "c"]);
  expect(await names({ query: "100%_" })).toEqual(["d"]);
  expect(await names({ query: "_%_" })).toEqual([]);
  const { nextPageToken } = await jobs.listJobs({ pageSize: 2 });
  for (const request of [{ query: "the" }, { order: JobOrder.CREATED_DESC }])
    expect(await refusalOf(jobs.listJobs({ ...request, pageToken: nextPageToken }))).toMatchObject({
      reason: "PAGE_TOKEN_INVALID",
    });
  expect(await refusalOf(jobs.listJobs({ pageSize: 501 }))).toMatchObject({ code: "InvalidArgument" });
});

test("another organization has jobs of its own", async () => {
  await create("hello");
  const stranger = as(await plantOrganization(fresh.db.sql, "stranger"));
  expect((await stranger.listJobs({})).jobs).toEqual([]);
  for (const call of [
    () => stranger.getJob({ name: "hello" }),
    () => stranger.deleteJob({ requestId: randomUUID(), name: "hello" }),
    () =>
      stranger.updateJob({
        requestId: randomUUID(),
        name: "hello",
        job: { paused: true },
        updateMask: { paths: ["paused"] },
      }),
  ])
    expect(await refusalOf(call())).toMatchObject({ code: "NotFound" });
});
