import { sleep } from "../../process/wait.ts";
import { type ReleasedStep, releaseSession } from "../queue/release-sessions.ts";
import type { Db, Sql } from "../store/open-database.ts";

export interface NewLife {
  number: number;
  /** Steps that nobody holds any more. */
  released: ReleasedStep[];
  /** Sessions that are over. */
  sessions: string[];
}

const CAUSE = "The database was restored to an earlier moment; what ran then is not taken up again.";
const TRIES = 50;

/**
 * Begins another life of a restored database, in one transaction: every session ends and every lease with it, so that
 * nothing of the former life is accepted; the events of before go, since their order was another one's; and the life
 * gets an id and a number that none had. `known` is the life that was found restored, `atLeast` what was seen of later
 * ones. Answers undefined when somebody else has begun it.
 */
export async function beginLife(
  db: Db,
  known: { id: string },
  atLeast: { number: number; beats: number },
): Promise<NewLife | undefined> {
  return await db.transaction(async (tx) => {
    await tx`SET LOCAL lock_timeout = '30s'`;
    await tx`SET LOCAL statement_timeout = '10min'`;
    const [life] = await tx<{ number: number }[]>`
      UPDATE incarnation SET id = gen_random_uuid(), number = greatest(number, ${atLeast.number}::bigint) + 1,
        place = database_place(), since = clock_timestamp()
      WHERE id = ${known.id} RETURNING number`;
    if (!life) return undefined;
    await tx`UPDATE pulse SET beats = greatest(beats, ${atLeast.beats}::bigint) + 1`;
    await tx`TRUNCATE events`;
    await tx`UPDATE events_dropped SET xid = '0', seq = 0`;
    const ended = await tx<{ id: string }[]>`
      UPDATE sessions SET expires_at = '-infinity', stream = stream + 1 WHERE expires_at > '-infinity' RETURNING id`;
    return { number: life.number, released: await releaseAll(tx), sessions: ended.map(({ id }) => id) };
  });
}

/** Releasing steps over rows that a call holds; it ends soon, and what it did then counts. */
async function releaseAll(tx: Sql): Promise<ReleasedStep[]> {
  const released: ReleasedStep[] = [];
  for (let tried = 0; tried < TRIES; tried++) {
    const holders = await tx<{ id: string }[]>`
      SELECT DISTINCT session_id AS id FROM steps WHERE session_id IS NOT NULL`;
    if (holders.length === 0) return released;
    if (tried > 0) await sleep(100);
    for (const { id } of holders) released.push(...(await releaseSession({ sql: tx as Db["sql"] }, id, CAUSE)));
  }
  throw new Error("a step's row stayed locked while the leases of before were taken back");
}
