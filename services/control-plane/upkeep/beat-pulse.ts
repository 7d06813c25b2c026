import type { Core } from "../core.ts";
import { gapSeconds } from "../queue/in-grace.ts";

/**
 * Touches the pulse row. A gap in it means that no replica could reach the database, and so that no worker could
 * renew: then nobody's lease ends for two lease times.
 */
export async function beatPulse({ db, config }: Pick<Core, "db" | "config">): Promise<void> {
  const gap = gapSeconds(config.leaseSeconds);
  await db.sql`
    UPDATE pulse SET at = clock_timestamp(), beats = beats + 1,
      grace_until = CASE WHEN clock_timestamp() - at > ${gap} * interval '1 second'
        THEN clock_timestamp() + ${2 * config.leaseSeconds} * interval '1 second' ELSE grace_until END`;
}
