import type { Logger } from "../../process/logger.ts";
import type { BlobStore } from "../store/blobs.ts";
import type { Db } from "../store/open-database.ts";
import { beginLife, type NewLife } from "./begin-life.ts";
import { type DatabaseLife, decideLife, type SeenLife } from "./decide-life.ts";
import { readLife } from "./read-life.ts";
import { createMark, MARK_KEY, readMark, writeMark } from "./store-mark.ts";

interface LifeDeps {
  db: Db;
  blobs: BlobStore;
  logger: Logger;
}

/** The database and the object store belong to different Ritmos; the message says what to do. */
export class StoreError extends Error {
  override readonly name = "StoreError";
}

/**
 * Before a replica serves: compares the database with what the object store says of it. One that was restored begins
 * another life, which is answered; undefined where all is as it was. Rejects with a StoreError where the store is
 * another one's, since each would take the other's objects for strays.
 */
export async function settleLife(deps: LifeDeps): Promise<NewLife | undefined> {
  const { db, blobs } = deps;
  const life = await readLife(db.sql);
  let mark = await readMark(blobs);
  if (!mark && !(await createMark(blobs, life))) mark = await readMark(blobs);
  const begun = await judge(deps, life, mark);
  await writeMark(blobs, await readLife(db.sql));
  return begun;
}

/**
 * One replica's eye on the database while it serves: a restore under it is noticed at the next look. Each look may
 * answer a new life. What it saw is written into the object store once in a while.
 */
export function watchLife(
  deps: LifeDeps,
  { markEveryMs }: { markEveryMs: number },
): () => Promise<NewLife | undefined> {
  let seen: SeenLife | undefined;
  let markedAtMs = performance.now();
  return async () => {
    const life = await readLife(deps.db.sql);
    const begun = await judge(deps, life, seen);
    seen = begun ? await readLife(deps.db.sql) : life;
    if (begun || performance.now() - markedAtMs >= markEveryMs) {
      markedAtMs = performance.now();
      await writeMark(deps.blobs, await readLife(deps.db.sql));
    }
    return begun;
  };
}

async function judge({ db, logger }: LifeDeps, life: DatabaseLife, seen: SeenLife | undefined) {
  const verdict = decideLife(life, seen);
  if (verdict.kind === "foreign")
    throw new StoreError(
      `The object store belongs to another Ritmo than this database. Name an empty bucket or folder; or, to take this one over with all that is in it, remove ${MARK_KEY} from it first.`,
    );
  if (verdict.kind === "same") return undefined;
  const begun = await beginLife(db, life, seen ?? life);
  if (begun)
    logger.warn(
      { because: verdict.because, life: begun.number, leases: begun.released.length },
      "the database was restored; every session and lease of before is over",
    );
  return begun;
}
