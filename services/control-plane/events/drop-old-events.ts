import type { Db } from "../store/open-database.ts";

/**
 * Drops the partitions of events of days before the last `daysKept`, and notes the last event in them, so that a
 * cursor from before gets a snapshot. Answers the names of what it dropped. Any replica may run it at any time.
 */
export async function dropOldEvents(db: Pick<Db, "transaction">, now: Date, daysKept: number): Promise<string[]> {
  const oldest = new Date(now.getTime() - daysKept * 86_400_000).toISOString().slice(0, 10).replaceAll("-", "");
  return await db.transaction(async (tx) => {
    // Everybody who writes an event waits behind this; better to try again at the next sweep.
    await tx`SET LOCAL lock_timeout = '500ms'`;
    const rows = await tx<{ name: string }[]>`
      SELECT c.relname AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
      WHERE i.inhparent = 'events'::regclass AND c.relname ~ '^events_[0-9]{8}$' AND c.relname < ${`events_${oldest}`}
      ORDER BY c.relname`;
    for (const { name } of rows) {
      await tx`UPDATE events_dropped d SET xid = last.xid, seq = last.seq
        FROM (SELECT xid, seq FROM ${tx(name)} ORDER BY xid DESC, seq DESC LIMIT 1) last
        WHERE (last.xid, last.seq) > (d.xid, d.seq)`;
      await tx`DROP TABLE ${tx(name)}`;
    }
    return rows.map((row) => row.name);
  });
}
