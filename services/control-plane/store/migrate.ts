import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import type { Logger } from "../../process/logger.ts";
import type { Db, Sql } from "./open-database.ts";

const FOLDER = new URL("../../../migrations/", import.meta.url);
const OLDEST_SERVER = 150000;
// Any constant of our own; one migrator at a time holds it for its transaction.
const LOCK_KEY = 7480_7481;
const DAYS_AHEAD = 2;

interface Migration {
  version: number;
  name: string;
  text: string;
  sha256: string;
}

/** The database can't serve this version of Ritmo; the message says why and what to do. */
export class MigrationError extends Error {
  override readonly name = "MigrationError";
}

/**
 * Brings the database to this version: applies what is missing, in order, under a lock and each in the same
 * transaction as its record, and refuses a database that is newer or that was changed after the fact.
 */
export async function migrate(db: Db, logger: Logger): Promise<void> {
  const known = readMigrations();
  await db.transaction(async (tx) => {
    await refuseOldServer(tx);
    await tx`SET LOCAL lock_timeout = '60s'`;
    await tx`SET LOCAL statement_timeout = '10min'`;
    await tx`SELECT pg_advisory_xact_lock(${LOCK_KEY})`;
    await tx`CREATE TABLE IF NOT EXISTS schema_migrations (
      version integer PRIMARY KEY, name text NOT NULL, sha256 text NOT NULL,
      applied_at timestamptz NOT NULL DEFAULT clock_timestamp())`;
    const applied = await tx<{ version: number; name: string; sha256: string }[]>`
      SELECT version, name, sha256 FROM schema_migrations ORDER BY version`;
    refuseUnknown(known, applied);
    for (const migration of known.slice(applied.length)) {
      logger.info({ migration: migration.name }, "applying a migration");
      await tx.unsafe(migration.text);
      await tx`INSERT INTO schema_migrations (version, name, sha256)
        VALUES (${migration.version}, ${migration.name}, ${migration.sha256})`;
    }
    await tx`SELECT make_day_partitions((clock_timestamp() AT TIME ZONE 'UTC')::date + d)
      FROM generate_series(0, ${DAYS_AHEAD}::int) d`;
  });
}

async function refuseOldServer(tx: Sql): Promise<void> {
  const [row] = await tx<{ version: string }[]>`SELECT current_setting('server_version_num') AS version`;
  if (Number(row?.version) < OLDEST_SERVER) {
    throw new MigrationError(
      `Ritmo needs PostgreSQL 15 or newer; this server is ${row?.version}. Upgrade it, or name another in RITMO_DATABASE_URL.`,
    );
  }
}

function refuseUnknown(known: Migration[], applied: { version: number; name: string; sha256: string }[]): void {
  for (const [i, row] of applied.entries()) {
    const mine = known[i];
    if (!mine || mine.version !== row.version) {
      throw new MigrationError(
        `The database has the migration ${row.name}, which this version of Ritmo does not know: it is newer. Start the newer Ritmo, or restore a backup made before the upgrade.`,
      );
    }
    if (mine.sha256 !== row.sha256) {
      throw new MigrationError(
        `The migration ${row.name} was changed after it had been applied to this database. Put the released file back; changes go into a new migration.`,
      );
    }
  }
}

/** All migrations of this version, in order. */
export function readMigrations(): Migration[] {
  return readdirSync(FOLDER)
    .filter((name) => /^\d{4}_[a-z0-9_]+\.sql$/.test(name))
    .sort()
    .map((name) => {
      const text = readFileSync(new URL(name, FOLDER), "utf8");
      return { version: Number(name.slice(0, 4)), name, text, sha256: createHash("sha256").update(text).digest("hex") };
    });
}
