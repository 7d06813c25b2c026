import { dirname } from "node:path";
import type { Logger } from "../../../process/logger.ts";
import { sleep } from "../../../process/wait.ts";
import { livesInWorkDir } from "../../lock-work-dir.ts";
import { callEngine, type Engine } from "./engine.ts";
import { LABEL, type Ledger, readLedger } from "./ledger.ts";
import { removeMade } from "./remove-made.ts";

export interface SweepParts {
  engine: Engine;
  ledger: Ledger;
  /** Leases whose containers are at work. */
  inHand: ReadonlySet<string>;
  log: Logger;
}

const EVERY_MS = 20_000;
// By then no lease of it can hold, so it would not go on with its containers if it came back.
const DEAD_FOR_MS = 60_000;

/**
 * Removes, now and then, what could not be removed at its time, and what dead workers of this machine left on this
 * engine. Labels only tell where to look: what is removed stands in a ledger, with the nonce that it carries.
 */
export function sweepContainers(parts: SweepParts): { close(): void } {
  const over = new AbortController();
  const deadSince = new Map<string, number>();
  void (async () => {
    for (; !over.signal.aborted; await sleep(EVERY_MS, over.signal)) {
      await sweepOwn(parts).catch(() => {});
      await sweepDead(parts, deadSince).catch((reason: Error) =>
        parts.log.debug({ reason: reason.message }, "the containers of dead workers could not be looked for"),
      );
    }
  })();
  return { close: () => over.abort() };
}

async function sweepOwn({ engine, ledger, inHand, log }: SweepParts): Promise<void> {
  for (const entry of await ledger.all()) {
    if (inHand.has(entry.leaseId) || entry.engineId !== engine.info.ID) continue;
    await removeMade(engine, entry);
    await ledger.close(entry);
    log.info({ name: entry.name }, "removed what was left of a container");
  }
}

/** `deadForMs` is how long a worker must have been dead in the eyes of this one. */
export async function sweepDead(
  { engine, ledger, log }: SweepParts,
  deadSince: Map<string, number>,
  deadForMs = DEAD_FOR_MS,
): Promise<void> {
  const filters = JSON.stringify({ label: [LABEL.ledger] });
  const [containers, networks] = await Promise.all([
    callEngine("list containers", (abortSignal) => engine.docker.listContainers({ all: true, filters, abortSignal })),
    callEngine("list networks", (abortSignal) => engine.docker.listNetworks({ filters, abortSignal })),
  ]);
  const folders = new Set([...containers, ...networks].map(({ Labels }) => Labels[LABEL.ledger] ?? ""));
  for (const folder of folders) {
    if (folder === ledger.folder || !folder.startsWith("/")) continue;
    if (await livesInWorkDir(dirname(folder))) {
      deadSince.delete(folder);
      continue;
    }
    const since = deadSince.get(folder) ?? performance.now();
    deadSince.set(folder, since);
    if (performance.now() - since < deadForMs) continue;
    for (const entry of await readLedger(folder)) {
      if (entry.engineId !== engine.info.ID) continue;
      await removeMade(engine, entry);
      log.info({ name: entry.name, ledger: folder }, "removed what a dead worker left");
    }
  }
}
