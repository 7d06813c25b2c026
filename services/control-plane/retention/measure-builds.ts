import type { Db } from "../store/open-database.ts";
import { sizeOf } from "./choose-builds.ts";

const BUILDS_AT_ONCE = 200;

/** Writes down what builds that are over keep. Answers whether there may be more. */
export async function measureBuilds({ db }: { db: Pick<Db, "sql"> }): Promise<boolean> {
  const { sql } = db;
  const rows = await sql`
    WITH next AS (
      SELECT id FROM builds WHERE finished_at IS NOT NULL AND kept_bytes IS NULL
      ORDER BY id LIMIT ${BUILDS_AT_ONCE} FOR UPDATE SKIP LOCKED)
    UPDATE builds b SET kept_bytes = ${sizeOf(sql)} FROM next
    WHERE b.id = next.id AND b.finished_at IS NOT NULL RETURNING b.id`;
  return rows.length === BUILDS_AT_ONCE;
}
