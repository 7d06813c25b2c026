import type { Core } from "../core.ts";

const DAYS_AHEAD = 2;

/** Makes the partitions of today and the next days. */
export async function makePartitions({ db }: Pick<Core, "db">): Promise<void> {
  await db.sql`
    SELECT make_day_partitions((clock_timestamp() AT TIME ZONE 'UTC')::date + d)
    FROM generate_series(0, ${DAYS_AHEAD}::int) d`;
}
