import type { Core } from "../core.ts";
import type { Sql } from "../store/open-database.ts";
import { deleteDoomedBuilds } from "./delete-builds.ts";
import { deleteDoomedObjects } from "./delete-objects.ts";
import { expireBuilds } from "./expire-builds.ts";
import { LISTED_EVERY_HOURS, sweepStrays } from "./sweep-strays.ts";

const RULES_EVERY_MINUTES = 15;
/** It may have been the wrong backup: what only a later one knows stays so long. */
const STRAYS_KEPT_DAYS = 7;

/** Marks what the rules take, once in a while by one replica. */
export async function keepRules(core: Core): Promise<void> {
  if (await isDue(core.db.sql, "retention", RULES_EVERY_MINUTES)) await expireBuilds(core);
}

/** Takes away what is marked: rows first, then objects. Answers whether there may be more. */
export async function takeAway(core: Core): Promise<boolean> {
  const rows = await deleteDoomedBuilds(core);
  const objects = await deleteDoomedObjects(core);
  return rows || objects;
}

/** Lists the store for what no row knows, once in a while by one replica. */
export async function keepStoreClean(core: Core): Promise<void> {
  if (await isJustRestored(core.db.sql)) return;
  if (!(await isDue(core.db.sql, "stray objects", LISTED_EVERY_HOURS * 60))) return;
  const gone = await sweepStrays(core, new Date());
  if (gone.objects + gone.uploads > 0) core.logger.warn({ ...gone }, "removed from the store what no row knew");
}

async function isJustRestored(sql: Sql): Promise<boolean> {
  const [row] = await sql`
    SELECT FROM incarnation
    WHERE number > 1 AND since > clock_timestamp() - ${STRAYS_KEPT_DAYS}::integer * interval '1 day'`;
  return row !== undefined;
}

/** Takes a sweep's turn, if it is due: of all replicas one does. */
async function isDue(sql: Sql, name: string, everyMinutes: number): Promise<boolean> {
  const rows = await sql`
    UPDATE sweeps SET due_at = clock_timestamp() + ${everyMinutes}::integer * interval '1 minute'
    WHERE name = ${name} AND due_at <= clock_timestamp() RETURNING name`;
  return rows.length > 0;
}
