import { afterAll, beforeAll, expect, test } from "vitest";
import { newId } from "../../process/new-id.ts";
import { type FreshDatabase, freshDatabase } from "../../testing/fresh-database.ts";
import {
  plantAttempt,
  plantBuild,
  plantJob,
  plantOrganization,
  plantStep,
  plantWorker,
} from "../../testing/plant-rows.ts";
import type { Sql } from "../store/open-database.ts";
import { resolveAttempt, resolveBuild, resolveJob, resolveStep, resolveWorker } from "./resolve.ts";

let fresh: FreshDatabase;
let ids: Record<"job" | "build" | "step" | "idle" | "first" | "second" | "worker" | "stranger", string>;

beforeAll(async () => {
  fresh = await freshDatabase();
  const { sql } = fresh.db;
  const job = await plantJob(sql, "hello");
  const build = await plantBuild(sql, job);
  const worker = await plantWorker(sql, "local");
  const step = await plantStep(sql, build, { key: "test", state: "running", sessionId: worker.sessionId });
  const idle = await plantStep(sql, build, { key: "later" });
  const first = await plantAttempt(sql, step, worker, { number: 1, state: "error" });
  const second = await plantAttempt(sql, step, worker, { number: 2 });
  const stranger = await plantOrganization(sql, "stranger");
  ids = { job, build, step, idle, first, second, worker: worker.id, stranger };
});
afterAll(() => fresh[Symbol.asyncDispose]());

type Resolve = (sql: Sql, orgId: string, name: string, field?: string) => Promise<{ id: string }>;
const refusal = (resolve: Resolve, name: string, orgId = "org_default") =>
  resolve(fresh.db.sql, orgId, name).then(
    (row) => row,
    (reason) => [reason.code, reason.reason, reason.message],
  );
const found = async (resolve: Resolve, name: string) => (await resolve(fresh.db.sql, "org_default", name)).id;
const PAGE = "https://ci.example.com/jobs/hello/builds/1";

test("jobs, builds, steps, attempts and workers are found by name, id and web address", async () => {
  for (const name of ["hello", ids.job, PAGE, "http://localhost/jobs/hello"])
    expect(await found(resolveJob, name)).toBe(ids.job);
  for (const name of ["hello#1", ids.build, PAGE, `${PAGE}?step=test&attempt=2#L1-L2`])
    expect(await found(resolveBuild, name)).toBe(ids.build);
  for (const name of ["hello#1/test", ids.step, `${PAGE}?step=test`, `${PAGE}?step=test&attempt=2`])
    expect(await found(resolveStep, name)).toBe(ids.step);
  for (const name of ["hello#1/test@1", ids.first, `${PAGE}?step=test&attempt=1`])
    expect(await found(resolveAttempt, name)).toBe(ids.first);
  for (const name of ["local", ids.worker]) expect(await found(resolveWorker, name)).toBe(ids.worker);
});

test("a step's name, id or address means its newest attempt", async () => {
  for (const name of ["hello#1/test", ids.step, `${PAGE}?step=test`])
    expect(await resolveAttempt(fresh.db.sql, "org_default", name)).toMatchObject({
      id: ids.second,
      name: "hello#1/test@2",
      number: 2,
      stepKey: "test",
      buildId: ids.build,
    });
});

test("a step that no worker has had has no attempt", async () => {
  expect(await refusal(resolveAttempt, "hello#1/later")).toEqual([
    "not_found",
    "NO_ATTEMPT",
    "hello#1/later has no attempt yet: no worker has had it",
  ]);
  expect(await refusal(resolveAttempt, "hello#1/later@1")).toContain("ATTEMPT_NOT_FOUND");
});

test.each<[string, Resolve, () => string, RegExp]>([
  ["an id of a build for a job", resolveJob, () => ids.build, /is the id of a build; a job is wanted/],
  ["an id of a job for a build", resolveBuild, () => ids.job, /is the id of a job; a build is wanted/],
  ["an id of a build for a step", resolveStep, () => ids.build, /is the id of a build; a step is wanted/],
  ["an id of a build for an attempt", resolveAttempt, () => ids.build, /is the id of a build; an attempt is wanted/],
  ["an id of a step for a worker", resolveWorker, () => ids.step, /is the id of a step; a worker is wanted/],
  ["a build's name for a job", resolveJob, () => "hello#1", /names a build; a job is wanted: hello/],
  ["a job's name for a build", resolveBuild, () => "hello", /add its number, like hello#1/],
  ["a step's name for a build", resolveBuild, () => "hello#1/test", /a build is wanted: hello#1$/],
  ["a build's name for a step", resolveStep, () => "hello#1", /add its step: hello#1\/STEP/],
  ["a build's address for a step", resolveStep, () => PAGE, /add its step: hello#1\/STEP/],
  ["an attempt's name for a step", resolveStep, () => "hello#1/test@2", /a step is wanted: hello#1\/test$/],
  ["a build's name for an attempt", resolveAttempt, () => "hello#1", /add its step/],
  ["a build's name for a worker", resolveWorker, () => "hello#1", /names a build; a worker is wanted/],
])("%s is WRONG_KIND and says what would be right", async (_, resolve, name, message) => {
  expect(await refusal(resolve, name())).toEqual(["invalid_argument", "WRONG_KIND", expect.stringMatching(message)]);
});

test.each([
  "hello\0",
  "x".repeat(1 << 20),
  "\ud800",
  "hello#99999999999999999",
  "ünïcode",
  "'; DROP TABLE jobs; --",
  "",
])("strange input %# is refused in few words", async (name) => {
  for (const resolve of [resolveJob, resolveBuild, resolveStep, resolveAttempt, resolveWorker]) {
    const answer = await refusal(resolve, name);
    expect(answer).toEqual(["invalid_argument", "NAME_INVALID", expect.any(String)]);
    expect((answer as string[])[2]?.length).toBeLessThan(300);
  }
});

test("what is not there, or another organization's, is NOT_FOUND", async () => {
  const strangers: [Resolve, string[]][] = [
    [resolveJob, ["hello", ids.job, newId("job")]],
    [resolveBuild, ["hello#1", ids.build, newId("bld")]],
    [resolveStep, ["hello#1/test", ids.step, newId("stp")]],
    [resolveAttempt, ["hello#1/test@1", ids.first, newId("att"), ids.step]],
    [resolveWorker, ["local", ids.worker, newId("wrk")]],
  ];
  for (const [resolve, names] of strangers)
    for (const name of names) expect(await refusal(resolve, name, ids.stranger)).toContain("not_found");
  expect(await refusal(resolveBuild, "hello#2")).toContain("BUILD_NOT_FOUND");
  expect(await refusal(resolveStep, "hello#1/nope")).toContain("STEP_NOT_FOUND");
});
