import type { Sql } from "../store/open-database.ts";

/**
 * SQL for what a row of `workers` is matched by: its labels, and its executors as the pseudo-labels `ritmo/executor=…`
 * that steps require. A worker that only follows scripts stands in for one that runs processes.
 */
export function labelSet(sql: Sql) {
  return sql`(w.fixed_labels || w.labels || ARRAY(
    SELECT 'ritmo/executor=' || CASE WHEN w.executors = ARRAY['scripted'] THEN 'process' ELSE e END
    FROM unnest(w.executors) e))`;
}
