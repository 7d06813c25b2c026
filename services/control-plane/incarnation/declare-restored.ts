import type { Db } from "../store/open-database.ts";
import { beginLife } from "./begin-life.ts";
import { readLife } from "./read-life.ts";

/**
 * Begins another life because a person says that the database was restored, for what no replica can see by itself.
 * Answers its number, and how many leases of before ended.
 */
export async function declareRestored(db: Db): Promise<{ life: number; endedLeases: number }> {
  const life = await readLife(db.sql);
  const begun = await beginLife(db, life, life);
  // Somebody else began one in this moment, which is as good.
  return { life: begun?.number ?? life.number + 1, endedLeases: begun?.released.length ?? 0 };
}
