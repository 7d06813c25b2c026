import type { Sql } from "../store/open-database.ts";

/**
 * SQL for what a row of `workers` is matched by: its labels, and its executors as the pseudo-labels `ritmo/executor=…`
 * that steps require. The scripted executor stands in for processes, as it does when steps are claimed.
 */
export function labelSet(sql: Sql) {
  return sql`(w.fixed_labels || w.labels
    || ARRAY(SELECT 'ritmo/executor=' || e FROM unnest(w.executors) e)
    || CASE WHEN 'scripted' = ANY (w.executors) THEN ARRAY['ritmo/executor=process'] ELSE '{}' END)`;
}
