import { sleep } from "../../../process/wait.ts";
import { callEngine, type Engine, EngineTrouble } from "./engine.ts";

const ASK_EVERY_MS = 2_000;

/**
 * Asks the engine now and then whether it is there. Answers, once it has not been for `patienceMs`, what was wrong;
 * undefined when the signal aborts.
 */
export async function watchEngine(
  engine: Engine,
  patienceMs: number,
  signal: AbortSignal,
): Promise<EngineTrouble | undefined> {
  const everyMs = Math.min(ASK_EVERY_MS, patienceMs / 4);
  for (let goodAtMs = performance.now(); !signal.aborted; await sleep(everyMs, signal)) {
    try {
      const ping = (abortSignal: AbortSignal) => engine.docker.ping({ abortSignal });
      await callEngine("ping", ping, { withinMs: Math.max(500, patienceMs / 2), signal });
      goodAtMs = performance.now();
    } catch (reason) {
      // A ping that is refused was answered.
      if (reason instanceof EngineTrouble && reason.kind === "refused") goodAtMs = performance.now();
      else if (reason instanceof EngineTrouble && performance.now() - goodAtMs >= patienceMs) return reason;
    }
  }
  return undefined;
}

/** What to say of an attempt that the engine's trouble ended. */
export function explainTrouble({ kind, message, status }: EngineTrouble): { reason: string; message: string } {
  if (kind === "hung") return { reason: "ENGINE_UNRESPONSIVE", message };
  if (kind === "gone") return { reason: "ENGINE_GONE", message };
  return { reason: "ENGINE_REFUSED", message: `the container engine refused (${status}): ${message}` };
}
