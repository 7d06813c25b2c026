import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import postgres from "postgres";
import type { TestProject } from "vitest/node";
import { migrate } from "../control-plane/store/migrate.ts";
import { openDatabase } from "../control-plane/store/open-database.ts";
import { startPostgres } from "../postgres/start-postgres.ts";
import { openLogger } from "../process/logger.ts";

declare module "vitest" {
  interface ProvidedContext {
    postgresUrl: string;
  }
}

/**
 * One real PostgreSQL for the whole test run, with a migrated template that each test's database is a copy of.
 * RITMO_TEST_DATABASE_URL names another server, such as the distribution's PostgreSQL 15.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const given = process.env["RITMO_TEST_DATABASE_URL"];
  const folder = mkdtempSync(join(tmpdir(), "ritmo-test-"));
  // As root the server runs as another user, which has to get in.
  chmodSync(folder, 0o755);
  const server = given ? undefined : await startPostgres({ folder: join(folder, "postgres"), careless: true });
  const url = given ?? (server as { url: string }).url;
  const admin = postgres(url, { max: 1, onnotice: () => {} });
  await admin.unsafe("DROP DATABASE IF EXISTS ritmo_template WITH (FORCE)");
  await admin.unsafe("CREATE DATABASE ritmo_template");
  const db = openDatabase({ url: withDatabase(url, "ritmo_template") });
  await migrate(db, openLogger("test", "warn"));
  await db.close();
  await admin.end();
  project.provide("postgresUrl", url);
  return async () => {
    await server?.stop();
    rmSync(folder, { recursive: true, force: true });
  };
}

function withDatabase(url: string, name: string): string {
  const parsed = new URL(url);
  parsed.pathname = `/${name}`;
  return parsed.href;
}
