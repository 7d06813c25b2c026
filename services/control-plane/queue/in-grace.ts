import type { Sql } from "../store/open-database.ts";

const USUAL_GAP_SECONDS = 5;

/** A longer time between two beats of the pulse means that the database was away. */
export function gapSeconds(leaseSeconds: number): number {
  return Math.min(USUAL_GAP_SECONDS, leaseSeconds / 2);
}

/**
 * A condition: sessions are spared now, although their time is up. Also while nobody has beaten the pulse since the
 * database came back, since a worker may be quicker than the sweep that grants the grace.
 */
export function inGrace(sql: Sql, leaseSeconds: number) {
  return sql`EXISTS (SELECT FROM pulse WHERE pulse.grace_until > clock_timestamp()
    OR pulse.at < clock_timestamp() - ${gapSeconds(leaseSeconds)} * interval '1 second')`;
}
