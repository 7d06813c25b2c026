import type { Sql } from "../store/open-database.ts";

/** What a step asks of a worker. */
export interface Shape {
  pool: string;
  /** `k=v`, ordered. */
  requires: string[];
  cpuMillis: number;
  memoryBytes: number;
}

export function shapeKey(shape: Shape): string {
  return JSON.stringify([shape.pool, shape.requires, shape.cpuMillis, shape.memoryBytes]);
}

const known = new WeakMap<object, Map<string, number>>();
const MAX_KNOWN = 10_000;

/**
 * What `keepShapes` answers, remembered: rows of shapes stay for ever. Should they be gone all the same, as after a
 * restore, whoever meets that calls `forgetShapes`.
 */
export async function knownShapes(sql: Sql, orgId: string, shapes: Shape[]): Promise<Map<string, number>> {
  const mine = known.get(sql) ?? new Map<string, number>();
  known.set(sql, mine);
  const missing = shapes.filter((shape) => !mine.has(orgId + shapeKey(shape)));
  if (mine.size > MAX_KNOWN) mine.clear();
  const ids = new Map(shapes.map((shape) => [shapeKey(shape), mine.get(orgId + shapeKey(shape)) ?? 0]));
  if (missing.length === 0) return ids;
  for (const [key, id] of await keepShapes(sql, orgId, missing)) {
    mine.set(orgId + key, id);
    ids.set(key, id);
  }
  return ids;
}

export function forgetShapes(sql: Sql): void {
  known.delete(sql);
}

/** Makes the rows of shapes that are new, and answers the row's id for each shape's key. */
export async function keepShapes(sql: Sql, orgId: string, shapes: Shape[]): Promise<Map<string, number>> {
  const distinct = [...new Map(shapes.map((shape) => [shapeKey(shape), shape])).values()];
  const rows = await sql<{ id: number; pool: string; requires: string[]; cpuMillis: number; memoryBytes: number }[]>`
    WITH wanted AS (
      SELECT pool, ARRAY(SELECT jsonb_array_elements_text(requires)) AS requires, cpu, memory
      FROM jsonb_to_recordset(${sql.json(
        distinct.map((s) => ({ pool: s.pool, requires: s.requires, cpu: s.cpuMillis, memory: s.memoryBytes })) as never,
      )}) AS r(pool text, requires jsonb, cpu integer, memory bigint)),
    made AS (
      INSERT INTO shapes (org_id, pool, requires, cpu_millis, memory_bytes)
      SELECT ${orgId}, w.pool, w.requires, w.cpu, w.memory FROM wanted w
      WHERE NOT EXISTS (SELECT FROM shapes s WHERE s.org_id = ${orgId} AND s.pool = w.pool
        AND s.requires = w.requires AND s.cpu_millis = w.cpu AND s.memory_bytes = w.memory)
      -- Of two replicas that meet the same new shape, the second updates nothing and gets the row all the same.
      ON CONFLICT (org_id, pool, requires, cpu_millis, memory_bytes) DO UPDATE SET pool = excluded.pool
      RETURNING id, pool, requires, cpu_millis, memory_bytes)
    SELECT id, pool, requires, cpu_millis AS "cpuMillis", memory_bytes AS "memoryBytes" FROM made
    UNION ALL
    SELECT s.id, s.pool, s.requires, s.cpu_millis, s.memory_bytes FROM shapes s JOIN wanted w
      ON s.org_id = ${orgId} AND s.pool = w.pool AND s.requires = w.requires
      AND s.cpu_millis = w.cpu AND s.memory_bytes = w.memory`;
  return new Map(rows.map((row) => [shapeKey(row), row.id]));
}
