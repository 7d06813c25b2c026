import { getTableConfig, type PgTable } from "drizzle-orm/pg-core";
import { expect, test } from "vitest";
import { freshDatabase } from "../../testing/fresh-database.ts";
import * as schema from "./schema.ts";

test("what drizzle believes of its tables is what the migrations made: every column, its type, and whether it may be null", async () => {
  await using fresh = await freshDatabase();
  for (const table of Object.values(schema) as PgTable[]) {
    const { name, columns } = getTableConfig(table);
    const rows = await fresh.db.sql<{ column: string; type: string; nullable: boolean }[]>`
      SELECT column_name AS column, data_type AS type, is_nullable = 'YES' AS nullable
      FROM information_schema.columns WHERE table_schema = 'public' AND table_name = ${name} ORDER BY column_name`;
    const believed = columns.map((c) => ({ column: c.name, type: c.getSQLType(), nullable: !c.notNull }));
    expect(believed.sort((a, b) => (a.column < b.column ? -1 : 1))).toEqual([...rows]);
  }
});
