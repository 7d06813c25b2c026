import postgres from "postgres";
import { expect, test } from "vitest";
import { freshDatabase } from "../../testing/fresh-database.ts";
import { databaseErrorCode, isDatabaseAway } from "./read-database-error.ts";

const caught = (run: PromiseLike<unknown>) =>
  Promise.resolve(run).then(
    () => undefined,
    (reason: unknown) => reason,
  );

test("nobody there and a connection that was ended are away; a lock, a fault and a text that is none are not", async () => {
  await using fresh = await freshDatabase();
  const { sql, orm } = fresh.db;
  const nobody = postgres("postgres://nobody@127.0.0.1:1/none", { max: 1, connect_timeout: 1 });
  const ended = postgres(fresh.url, { max: 1 });
  const away = [await caught(nobody`SELECT 1`), await caught(ended`SELECT pg_terminate_backend(pg_backend_pid())`)];
  await Promise.all([nobody.end({ timeout: 0 }), ended.end({ timeout: 0 })]);
  expect(away.map(isDatabaseAway)).toEqual([true, true]);
  await sql`CREATE TABLE held (x int)`;
  const here = [await caught(sql`SELECT nothing_like_this`), await caught(orm.execute("SELECT 'no-uuid'::uuid"))];
  await fresh.db.transaction(async (tx) => {
    await tx`LOCK TABLE held`;
    here.push(await caught(sql.begin((other) => [other`SET LOCAL lock_timeout = 1`, other`SELECT * FROM held`])));
  });
  expect(here.map(databaseErrorCode)).toEqual(["42703", "22P02", "55P03"]);
  expect(here.map(isDatabaseAway)).toEqual([false, false, false]);
  expect(isDatabaseAway(new Error("ours"))).toBe(false);
});
