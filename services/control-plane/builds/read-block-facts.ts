import { labelSet } from "../fleet/label-set.ts";
import type { Sql } from "../store/open-database.ts";
import type { BlockFacts } from "./describe-block.ts";

/**
 * How the fleet stands to shapes of steps, for those shapes that no worker which takes work can ever fit, busy or not.
 * A shape that is not in the answer has such a worker.
 */
export async function readBlockFacts(sql: Sql, shapeIds: number[]): Promise<Map<number, BlockFacts>> {
  if (shapeIds.length === 0) return new Map();
  const alive = sql`w.org_id = s.org_id AND w.pool = s.pool AND w.deleted_at IS NULL`;
  const takesWork = sql`${alive} AND w.state = 'online' AND NOT w.draining`;
  const fits = sql`${labelSet(sql)} @> s.requires
    AND s.cpu_millis <= coalesce(nullif((w.machine ->> 'cpus')::int, 0) * 1000, 2147483647)
    AND s.memory_bytes <= coalesce(nullif((w.machine ->> 'memory_bytes')::bigint, 0), 9223372036854775807)`;
  const rests = sql`${alive} AND (w.state = 'draining' OR (w.state = 'online' AND w.draining)) AND ${fits}`;
  const rows = await sql<(BlockFacts & { id: number })[]>`
    SELECT s.id, s.pool, s.requires, s.cpu_millis AS "cpuMillis", s.memory_bytes AS "memoryBytes",
      (SELECT count(*)::int FROM workers w WHERE ${takesWork}) AS online,
      (SELECT count(*)::int FROM workers w WHERE ${takesWork} AND ${labelSet(sql)} @> s.requires) AS labelled,
      ARRAY(SELECT r FROM unnest(s.requires) r
        WHERE NOT EXISTS (SELECT FROM workers w WHERE ${takesWork} AND r = ANY (${labelSet(sql)}))) AS missing,
      (SELECT count(*)::int FROM workers w WHERE ${rests}) AS draining,
      (SELECT jsonb_build_object('name', w.name, 'reason', w.drain_reason) FROM workers w WHERE ${rests}
        ORDER BY w.name LIMIT 1) AS "firstDraining",
      (SELECT max(w.last_seen_at) FROM workers w
        WHERE w.org_id = s.org_id AND w.pool = s.pool AND ${labelSet(sql)} @> s.requires) AS "lastSeenAt"
    FROM shapes s
    WHERE s.id = ANY (${shapeIds}::int[]) AND NOT EXISTS (
      SELECT FROM workers w WHERE ${takesWork} AND ${fits})`;
  return new Map(rows.map(({ id, ...facts }) => [id, facts]));
}
