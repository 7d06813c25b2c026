import { callEngine, type Engine, isMissing } from "./engine.ts";
import { type Entry, LABEL } from "./ledger.ts";

/**
 * Removes the container of an entry, whatever it does, with its anonymous volumes, and then its network. What has
 * the name and not the nonce is somebody else's and stays. Throws EngineTrouble when something of ours is left.
 */
export async function removeMade(engine: Engine, entry: Entry): Promise<void> {
  const { docker } = engine;
  const container = docker.getContainer(entry.containerId ?? entry.name);
  const info = await unlessMissing(
    callEngine("inspect container", (abortSignal) => container.inspect({ abortSignal })),
  );
  if (info && info.Config.Labels?.[LABEL.nonce] === entry.nonce) {
    const ours = docker.getContainer(info.Id);
    // The engine waits for the end of its processes.
    const remove = (abortSignal: AbortSignal) => ours.remove({ force: true, v: true, abortSignal });
    await unlessMissing(callEngine("remove container", remove, { withinMs: 30_000 }));
  }
  const network = docker.getNetwork(entry.networkId ?? entry.name);
  const made = await unlessMissing(callEngine("inspect network", (abortSignal) => network.inspect({ abortSignal })));
  if (made && made.Labels?.[LABEL.nonce] === entry.nonce) {
    const ours = docker.getNetwork(made.Id);
    await unlessMissing(callEngine("remove network", (abortSignal) => ours.remove({ abortSignal })));
  }
}

async function unlessMissing<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (reason) {
    if (isMissing(reason)) return undefined;
    throw reason;
  }
}
