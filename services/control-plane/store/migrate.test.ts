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
