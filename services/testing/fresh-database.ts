import postgres from "postgres";
import { inject } from "vitest";
import { type Db, openDatabase } from "../control-plane/store/open-database.ts";

export interface FreshDatabase extends AsyncDisposable {
  url: string;
  db: Db;
}

let count = 0;

/** A database of its own for one test: a copy of the migrated template, dropped at the end of `await using`. */
export async function freshDatabase(): Promise<FreshDatabase> {
  const server = inject("postgresUrl");
  const name = `ritmo_test_${process.pid}_${count++}_${Math.random().toString(36).slice(2, 8)}`;
  const admin = postgres(server, { max: 1, onnotice: () => {} });
  // Two copies at once of one template are refused by the server; the lock makes them take turns.
  await admin`SELECT pg_advisory_lock(7480)`;
  await admin.unsafe(`CREATE DATABASE ${name} TEMPLATE ritmo_template`);
  await admin.end();
  const url = new URL(server);
  url.pathname = `/${name}`;
  const db = openDatabase({ url: url.href });
  // A copy is elsewhere than the template; it shall not be taken for a restored one.
  await db.sql`UPDATE incarnation SET place = database_place()`;
  return {
    url: url.href,
    db,
    async [Symbol.asyncDispose]() {
      await db.close();
      const again = postgres(server, { max: 1, onnotice: () => {} });
      await again.unsafe(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
      await again.end();
    },
  };
}
