import { afterRelease } from "../builds/after-release.ts";
import type { Core } from "../core.ts";
import type { NewLife } from "../incarnation/begin-life.ts";
import { settleLife, watchLife } from "../incarnation/settle-life.ts";

const MARK_EVERY_MS = 60_000;

/** Before this replica serves: a database that was restored begins another life. Rejects with a StoreError. */
export async function settleRestore(core: Core): Promise<void> {
  await follow(core, await settleLife(core));
}

/** A sweep that notices a restore under a replica that runs. */
export function restoreWatch(core: Core): () => Promise<void> {
  const look = watchLife(core, { markEveryMs: MARK_EVERY_MS });
  return async () => follow(core, await look());
}

async function follow(core: Core, life: NewLife | undefined): Promise<void> {
  if (!life) return;
  await afterRelease(core, life.released);
  // The streams that spoke for them learn it from their next report at the latest.
  for (const id of life.sessions) core.hints.send("session", id);
}
