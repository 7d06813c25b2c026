import { expect, test } from "vitest";
import { readSettings } from "../../process/read-settings.ts";
import { type ByteFixture, byteFixture } from "../../testing/byte-fixture.ts";
import { plantBuild, plantJob } from "../../testing/plant-rows.ts";
import { CONTROL_PLANE_SETTINGS } from "../config.ts";
import type { Core } from "../core.ts";
import { keepRules, keepStoreClean, takeAway } from "./keep-retention.ts";

function coreOf(fixture: ByteFixture, env: Record<string, string>): Core {
  const { values } = readSettings(CONTROL_PLANE_SETTINGS, env);
  return { ...fixture, config: values, url: "http://ritmo.test" };
}
const due = ({ db }: ByteFixture) => db.sql`UPDATE sweeps SET due_at = clock_timestamp()`;

test("of all replicas one applies the rules, once in a while; then what is marked goes", async () => {
  await using fixture = await byteFixture();
  const core = coreOf(fixture, { RITMO_RETENTION_BUILDS: "1" });
  const jobId = await plantJob(fixture.db.sql, "hello");
  const make = () => plantBuild(fixture.db.sql, jobId, { state: "failure" });
  const left = async () => (await fixture.db.sql`SELECT id FROM builds ORDER BY number`).map((row) => row["id"]);
  const [first, second] = [await make(), await make()];
  await Promise.all([keepRules(core), keepRules(core)]);
  expect(await left()).toEqual([first, second]);
  await takeAway(core);
  expect(await left()).toEqual([second]);
  const third = await make();
  await keepRules(core);
  await takeAway(core);
  expect(await left()).toEqual([second, third]);
  await due(fixture);
  await keepRules(core);
  await takeAway(core);
  expect(await left()).toEqual([third]);
});

test("by default what ended over ninety days ago goes, and nothing else", async () => {
  await using fixture = await byteFixture();
  const core = coreOf(fixture, {});
  const jobId = await plantJob(fixture.db.sql, "hello");
  for (const days of [91, 89]) {
    const id = await plantBuild(fixture.db.sql, jobId, { state: "failure" });
    await fixture.db.sql`UPDATE builds SET finished_at = finished_at - ${days} * interval '1 day' WHERE id = ${id}`;
  }
  await keepRules(core);
  await takeAway(core);
  expect(await fixture.db.sql`SELECT number FROM builds`).toEqual([{ number: 2 }]);
});

test("after a restore no stray is removed for a week", async () => {
  await using fixture = await byteFixture();
  const core = coreOf(fixture, {});
  const blobs = {
    ...fixture.blobs,
    // All of it is old.
    list: async function* (prefix: string) {
      for await (const one of fixture.blobs.list(prefix)) yield { ...one, modifiedAt: new Date(0) };
    },
  };
  const key = `o/org_default/b/bld_1/l/${crypto.randomUUID()}/log-1.zst`;
  await fixture.blobs.put(key, Buffer.from("x"), 1);
  await fixture.db.sql`UPDATE incarnation SET number = 2`;
  await keepStoreClean({ ...core, blobs });
  expect(await fixture.blobs.head(key)).toBeDefined();
  await fixture.db.sql`UPDATE incarnation SET since = since - interval '8 days'`;
  await keepStoreClean({ ...core, blobs });
  expect(await fixture.blobs.head(key)).toBeUndefined();
});
