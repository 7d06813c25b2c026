import { afterAll, beforeAll, expect, test } from "vitest";
import { openLogger } from "../../process/logger.ts";
import { type FreshDatabase, freshDatabase } from "../../testing/fresh-database.ts";
import {
  plantAttempt,
  plantBuild,
  plantJob,
  plantOrganization,
  plantStep,
  plantWorker,
} from "../../testing/plant-rows.ts";
import { pinBuild, unpinBuild } from "../builds/pin-build.ts";
import { retryBuild } from "../builds/retry-build.ts";
import { deleteDoomedBuilds } from "./delete-builds.ts";
import { expireBuilds } from "./expire-builds.ts";
import { measureBuilds } from "./measure-builds.ts";
import type { Policy, RetentionConfig } from "./policy.ts";
import { previewRetention } from "./preview-retention.ts";

let fresh: FreshDatabase;
beforeAll(async () => {
  fresh = await freshDatabase();
});
afterAll(() => fresh[Symbol.asyncDispose]());

const logger = openLogger("test", "silent");
const GIB = 1024 ** 3;
const NONE: RetentionConfig = { retentionDays: 0, retentionBuilds: 0, retentionJobGib: 0, retentionGib: 0 };
const STATES = ["success", "failure", "error", "cancellation", "running"] as const;

interface Planted {
  id: string;
  number: number;
  state: (typeof STATES)[number];
  daysAgo: number;
  bytes: number;
  pinned: boolean;
}

/** A number from 0 up to 1, the same for the same seed (mulberry32). */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Builds of one job, the oldest first, as chance has it. */
async function plantHistory(jobId: string, count: number, next: () => number): Promise<Planted[]> {
  const { sql } = fresh.db;
  const builds: Planted[] = [];
  for (let i = 0; i < count; i++) {
    const state = STATES[Math.floor(next() * STATES.length)] as Planted["state"];
    const daysAgo = (count - i) * 3 + next();
    const bytes = Math.floor(next() * 5) * GIB;
    const pinned = next() < 0.15;
    const id = await plantBuild(sql, jobId, { state, atMs: Date.now() - (count - i) * 1_000 });
    await sql`UPDATE builds SET kept_bytes = CASE WHEN finished_at IS NULL THEN NULL ELSE ${bytes}::bigint END,
      finished_at = finished_at - ${daysAgo} * interval '1 day',
      pinned_at = CASE WHEN ${pinned} THEN clock_timestamp() END WHERE id = ${id}`;
    builds.push({ id, number: i + 1, state, daysAgo, bytes: state === "running" ? 0 : bytes, pinned });
  }
  return builds;
}

/** The rules once more, in the plainest words. */
function expected(builds: Planted[], policy: Policy): string[] {
  const newestGreen = builds.findLast((build) => build.state === "success");
  return builds
    .filter((build, i) => {
      if (build.state === "running" || build.pinned || build === newestGreen) return false;
      const newer = builds.slice(i);
      return (
        (policy.days > 0 && build.daysAgo > policy.days) ||
        (policy.builds > 0 && newer.length > policy.builds) ||
        (policy.bytes > 0 && newer.reduce((sum, one) => sum + one.bytes, 0) > policy.bytes)
      );
    })
    .map((build) => build.id);
}

const left = async (jobId: string) =>
  (await fresh.db.sql<{ id: string }[]>`SELECT id FROM builds WHERE job_id = ${jobId} ORDER BY number`).map(
    ({ id }) => id,
  );
const job = (name: string, orgId?: string) => plantJob(fresh.db.sql, name, orgId);
const expire = (config: RetentionConfig) => expireBuilds({ db: fresh.db, logger, config });
const takeAway = async (config: RetentionConfig) => {
  await expire(config);
  while (await deleteDoomedBuilds(fresh));
};

test("whatever the history and the rules: what goes is what the rules say, and what was foretold", async () => {
  for (let seed = 1; seed <= 25; seed++) {
    const next = random(seed);
    const pick = (...values: number[]) => values[Math.floor(next() * values.length)] as number;
    const policy: Policy = { days: pick(0, 0, 5, 30), builds: pick(0, 0, 1, 7), bytes: pick(0, 0, 3, 20) * GIB };
    const jobId = await job(`history-${seed}`);
    await fresh.db.sql`UPDATE jobs SET keep_days = ${policy.days}, keep_builds = ${policy.builds},
      keep_bytes = ${policy.bytes} WHERE id = ${jobId}`;
    const builds = await plantHistory(jobId, 1 + Math.floor(next() * 20), next);
    const going = expected(builds, policy);
    const foretold = await previewRetention(fresh.db.sql, NONE, { orgId: "org_default", jobId, rules: {}, limit: 500 });
    expect(foretold.builds.map(({ id }) => id)).toEqual(going);
    expect(foretold.totalBytes).toBe(
      builds.filter(({ id }) => going.includes(id)).reduce((sum, { bytes }) => sum + bytes, 0),
    );
    expect(await left(jobId)).toEqual(builds.map(({ id }) => id));
    await takeAway(NONE);
    const kept = builds.map(({ id }) => id).filter((id) => !going.includes(id));
    expect(await left(jobId)).toEqual(kept);
    // Once more takes nothing more.
    await takeAway(NONE);
    expect(await left(jobId)).toEqual(kept);
  }
});

test("settings hold where a job says nothing, a job's own rule where it does, and rules to try before both", async () => {
  const plain = await job("by-settings");
  const own = await job("by-itself");
  await fresh.db.sql`UPDATE jobs SET keep_builds = 0 WHERE id = ${own}`;
  for (const jobId of [plain, own])
    for (let i = 0; i < 5; i++) await plantBuild(fresh.db.sql, jobId, { state: "failure" });
  const preview = async (rules: object, jobId?: string) =>
    (
      await previewRetention(
        fresh.db.sql,
        { ...NONE, retentionBuilds: 2 },
        { orgId: "org_default", jobId, rules, limit: 1 },
      )
    ).totalBuilds;
  expect(await preview({}, plain)).toBe(3);
  expect(await preview({}, own)).toBe(0);
  expect(await preview({ builds: 4 }, own)).toBe(1);
  expect(await preview({ builds: 0 }, plain)).toBe(0);
  await takeAway({ ...NONE, retentionBuilds: 2 });
  expect([(await left(plain)).length, (await left(own)).length]).toEqual([2, 5]);
});

test("all jobs of an organization together keep so much, the oldest go first, and others are left alone", async () => {
  const { sql } = fresh.db;
  const mine = await plantOrganization(sql, "mine");
  const theirs = await plantOrganization(sql, "theirs");
  const jobs = [await job("a", mine), await job("b", mine), await job("c", theirs)];
  const ids: string[] = [];
  for (let i = 0; i < 6; i++) {
    const id = await plantBuild(sql, jobs[i % 2] as string, { state: "failure", atMs: Date.now() - 1_000 + i });
    ids.push(id);
  }
  const other = await plantBuild(sql, jobs[2] as string, { state: "failure" });
  await sql`UPDATE builds SET kept_bytes = ${GIB} WHERE org_id IN (${mine}, ${theirs})`;
  await takeAway({ ...NONE, retentionGib: 4 });
  expect([...(await left(jobs[0] as string)), ...(await left(jobs[1] as string))].sort()).toEqual(ids.slice(2));
  expect(await left(jobs[2] as string)).toEqual([other]);
});

test("a build that is marked is neither pinned nor opened again; one that is pinned or opened is not marked", async () => {
  const { sql } = fresh.db;
  const jobId = await job("races");
  await sql`UPDATE jobs SET keep_builds = 1 WHERE id = ${jobId}`;
  const [marked, pinned, opened, newest] = [
    await plantBuild(sql, jobId, { state: "failure" }),
    await plantBuild(sql, jobId, { state: "failure" }),
    await plantBuild(sql, jobId, { state: "failure" }),
    await plantBuild(sql, jobId, { state: "failure" }),
  ];
  for (const id of [marked, opened]) {
    await plantStep(sql, id, { key: "test", state: "failure" });
    await sql`UPDATE builds SET step_count = 1 WHERE id = ${id}`;
  }
  await pinBuild(sql, pinned, "somebody");
  await pinBuild(sql, pinned, "somebody else");
  await fresh.db.transaction((tx) => retryBuild(tx, opened, []));
  await expire(NONE);
  for (const refused of [
    () => pinBuild(sql, marked, "somebody"),
    () => unpinBuild(sql, marked),
    () => fresh.db.transaction((tx) => retryBuild(tx, marked, [])),
  ])
    await expect(refused()).rejects.toMatchObject({ code: "failed_precondition", reason: "BUILD_EXPIRED" });
  await takeAway(NONE);
  expect(await left(jobId)).toEqual([pinned, opened, newest]);
  await unpinBuild(sql, pinned);
  await takeAway(NONE);
  expect(await left(jobId)).toEqual([opened, newest]);
});

test("a deleted job has no green build to protect, and a log on its way into the store holds its build", async () => {
  const { sql } = fresh.db;
  const jobId = await job("deleted");
  await sql`UPDATE jobs SET keep_days = 1 WHERE id = ${jobId}`;
  const green = await plantBuild(sql, jobId, { state: "success" });
  const red = await plantBuild(sql, jobId, { state: "failure" });
  await sql`UPDATE builds SET finished_at = clock_timestamp() - interval '2 days' WHERE job_id = ${jobId}`;
  const worker = await plantWorker(sql, "deleted-1");
  const attempt = await plantAttempt(sql, await plantStep(sql, red, { state: "failure" }), worker, {
    state: "failure",
  });
  await takeAway(NONE);
  expect(await left(jobId)).toEqual([green, red]);
  await sql`UPDATE attempts SET archived_at = clock_timestamp() WHERE id = ${attempt}`;
  await takeAway(NONE);
  expect(await left(jobId)).toEqual([green]);
  await sql`UPDATE jobs SET deleted_at = clock_timestamp() WHERE id = ${jobId}`;
  await takeAway(NONE);
  expect(await left(jobId)).toEqual([]);
});

test("what a build keeps is its artifacts and its logs, measured when it is over and anew after a retry", async () => {
  const { sql } = fresh.db;
  const id = await plantBuild(sql, await job("measured"), { state: "failure" });
  const stepId = await plantStep(sql, id, { state: "failure" });
  const attempt = await plantAttempt(sql, stepId, await plantWorker(sql, "measured-1"), { state: "failure" });
  await sql`UPDATE attempts SET log_end = 100, prepare_end = 20 WHERE id = ${attempt}`;
  const artifact = (name: string, stored: boolean) => sql`
    INSERT INTO artifacts (id, org_id, build_id, step_id, attempt_id, path, size_bytes, sha256, mode, media_type, object_key, stored_at)
    VALUES (${name}, 'org_default', ${id}, ${stepId}, ${attempt}, ${name}, 1000, sha256('x'), 420, 'a/b', ${name},
      ${stored ? sql`clock_timestamp()` : null})`;
  await artifact("measured", true);
  await artifact("promised", false);
  const size = async () => (await sql`SELECT kept_bytes FROM builds WHERE id = ${id}`)[0]?.["kept_bytes"];
  await measureBuilds(fresh);
  expect(await size()).toBe(1120);
  await sql`UPDATE builds SET state = 'running', finished_at = NULL WHERE id = ${id}`;
  expect(await size()).toBeNull();
  await measureBuilds(fresh);
  expect(await size()).toBeNull();
});
