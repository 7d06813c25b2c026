import type { Sql } from "../store/open-database.ts";
import { describeBlock } from "./describe-block.ts";
import { readBlockFacts } from "./read-block-facts.ts";

/**
 * Of builds whose only way on is a queued step: the cause, in one sentence, of those where no worker can take any of
 * them. Read when somebody looks, because a worker that comes or goes changes no build.
 */
export async function explainBlockedBuilds(sql: Sql, buildIds: string[]): Promise<Map<string, string>> {
  if (buildIds.length === 0) return new Map();
  const queued = await sql<{ buildId: string; shapeId: number; key: string; count: number }[]>`
    SELECT build_id AS "buildId", shape_id AS "shapeId", (array_agg(key ORDER BY position))[1] AS key, count(*)::int AS count
    FROM steps WHERE build_id = ANY (${buildIds}::text[]) AND state = 'queued'
    GROUP BY build_id, shape_id ORDER BY min(position)`;
  const blocked = await readBlockFacts(sql, [...new Set(queued.map((row) => row.shapeId))]);
  const causes = new Map<string, string>();
  for (const id of buildIds) {
    const mine = queued.filter((row) => row.buildId === id);
    const [first] = mine;
    const facts = first && blocked.get(first.shapeId);
    if (!facts || !mine.every((row) => blocked.has(row.shapeId))) continue;
    const others = mine.reduce((sum, row) => sum + row.count, 0) - 1;
    causes.set(id, `${first.key}${others > 0 ? ` (and ${others} more)` : ""} waits: ${describeBlock(facts)}`);
  }
  return causes;
}
