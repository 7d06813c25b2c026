import { sleep } from "../../process/wait.ts";
import type { Random } from "./random.ts";
import type { Part } from "./world.ts";

/** One fault, and when it was begun, from the start of the run. */
export interface Fault {
  atMs: number;
  what: string;
}

/**
 * Kills and freezes parts, one after the other and two at once, until the signal; then brings every one of them back.
 * Answers what it did. What is chosen follows from the seed alone; how it falls into the run does not.
 */
export async function stir(parts: Part[], random: Random, signal: AbortSignal): Promise<Fault[]> {
  const startedAtMs = Date.now();
  const faults: Fault[] = [];
  const busy = new Map<Part, Promise<void>>();
  while (!signal.aborted) {
    const part = random.pick(parts);
    const frozen = part.freeze !== undefined && random.chance(0.4);
    const forMs = random.chance(0.3) ? random.between(3_000, 6_000) : random.between(50, 1_500);
    const restMs = random.between(200, 1_800);
    if (!busy.has(part) && busy.size < 2) {
      faults.push({
        atMs: Date.now() - startedAtMs,
        what: `${part.name} is ${frozen ? "frozen" : "killed"} for ${forMs} ms`,
      });
      busy.set(
        part,
        suffer(part, frozen, forMs, signal).finally(() => busy.delete(part)),
      );
    }
    await sleep(restMs, signal);
  }
  await Promise.all(busy.values());
  return faults;
}

async function suffer(part: Part, frozen: boolean, forMs: number, signal: AbortSignal): Promise<void> {
  await (frozen ? part.freeze?.() : part.kill());
  await sleep(forMs, signal);
  await (frozen ? part.thaw?.() : part.revive());
}
