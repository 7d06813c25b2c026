import { sleep } from "../process/wait.ts";
import { showPath } from "./show-path.ts";
import { lastWords } from "./tail-errors.ts";
import { UpProblem } from "./up-problem.ts";

const LOOK_EVERY_MS = 25;

interface Waiting {
  name: string;
  logPath: string;
  timeoutMs: number;
  /** How often the part has ended by itself: more than twice, and it won't come up. */
  ends(): number;
  signal: AbortSignal;
}

/** Resolves when an address answers 200, or the signal aborts. Throws UpProblem when the part does not come up. */
export async function untilReady(url: string, { name, logPath, timeoutMs, ends, signal }: Waiting): Promise<void> {
  for (const end = Date.now() + timeoutMs; !signal.aborted; await sleep(LOOK_EVERY_MS, signal)) {
    if (await answers(url)) return;
    if (ends() > 2)
      throw new UpProblem(`The ${name} does not come up: ${lastWords(logPath) ?? `see ${showPath(logPath)}`}`);
    if (Date.now() > end) {
      throw new UpProblem(`The ${name} is not ready after ${timeoutMs / 1000} s. Its log: ${showPath(logPath)}`);
    }
  }
}

async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(2_000) });
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false;
  }
}
