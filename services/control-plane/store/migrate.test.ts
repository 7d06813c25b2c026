import { expect, test } from "vitest";
import { openLogger } from "../../process/logger.ts";
import { freshDatabase } from "../../testing/fresh-database.ts";
import { migrate, readMigrations } from "./migrate.ts";

const quiet = openLogger("test", "silent");

test("migrating again changes nothing, also twice at once", async () => {
  await using fresh = await freshDatabase();
  await Promise.all([migrate(fresh.db, quiet), migrate(fresh.db, quiet)]);
  const rows = await fresh.db.sql`SELECT version FROM schema_migrations ORDER BY version`;
  expect(rows.map((row) => row["version"])).toEqual(readMigrations().map((m) => m.version));
});

test("a database from a newer version is refused with the way out", async () => {
  await using fresh = await freshDatabase();
  await fresh.db.sql`INSERT INTO schema_migrations (version, name, sha256) VALUES (9999, '9999_later.sql', 'x')`;
  await expect(migrate(fresh.db, quiet)).rejects.toThrow(/9999_later\.sql.*newer/);
});

test("a migration that was changed after the fact is refused by name", async () => {
  await using fresh = await freshDatabase();
  await fresh.db.sql`UPDATE schema_migrations SET sha256 = 'other' WHERE version = 1`;
  await expect(migrate(fresh.db, quiet)).rejects.toThrow(/0001_spine\.sql was changed/);
});

test("a day's partitions wait for no reader of the whole, and hold up no writer; they have every index", async () => {
  await using fresh = await freshDatabase();
  const { sql, transaction } = fresh.db;
  const reading = Promise.withResolvers<void>();
  const read = Promise.withResolvers<void>();
  const reader = transaction(async (tx) => {
    await tx`SELECT count(*) FROM events`;
    await tx`SELECT count(*) FROM log_chunks`;
    reading.resolve();
    await read.promise;
  });
  const made = Promise.withResolvers<void>();
  const written = Promise.withResolvers<void>();
  try {
    await reading.promise;
    // Two at once, and again: each is made once.
    await Promise.all(
      [1, 2].map(() => sql`SELECT make_day_partitions('2031-03-01'::date + d) FROM generate_series(0, 1) d`),
    );
    const maker = transaction(async (tx) => {
      await tx`SELECT make_day_partitions('2031-03-03')`;
      made.resolve();
      await written.promise;
    });
    await made.promise;
    const write = sql`
      INSERT INTO events (org_id, kind, day, payload)
      SELECT 'org_default', 'job', d::date, '{}' FROM unnest(ARRAY[now(), '2031-03-01'::timestamptz]) d`;
    await write.finally(written.resolve);
    await maker;
  } finally {
    read.resolve();
    await reader;
  }
  const indexesOf = async (table: string) =>
    (
      await sql<{ keys: string }[]>`
      SELECT regexp_replace(pg_get_indexdef(indexrelid), '^CREATE (UNIQUE )?INDEX .* USING', '\\1') AS keys
      FROM pg_index WHERE indrelid = ${table}::regclass AND indisvalid ORDER BY 1`
    ).map(({ keys }) => keys);
  for (const whole of ["events", "log_chunks"]) {
    for (const day of ["20310301", "20310302", "20310303"]) {
      const indexes = await indexesOf(`${whole}_${day}`);
      expect(indexes).toEqual(await indexesOf(whole));
      const attached = await sql`
        SELECT FROM pg_inherits JOIN pg_index ON indexrelid = inhrelid
        WHERE indrelid = ${`${whole}_${day}`}::regclass`;
      expect(attached).toHaveLength(indexes.length);
    }
  }
  const [data] = await sql`
    SELECT attstorage FROM pg_attribute WHERE attrelid = 'log_chunks_20310301'::regclass AND attname = 'data'`;
  expect(data?.["attstorage"]).toBe("e");
  const [numbered] = await sql`SELECT seq FROM events_20310301`;
  expect(numbered?.["seq"]).toBeGreaterThan(0);
});
