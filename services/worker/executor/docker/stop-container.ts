import { sleep } from "../../../process/wait.ts";
import { type Container, callEngine, EngineTrouble } from "./engine.ts";

// How long KILL is repeated; an engine that can't end a container by then is taken for one that won't.
const INSIST_MS = 10_000;

/** Every process of the container but its init: what `docker stop` asks is only the first. */
const TERM_ALL = ["/bin/sh", "-c", "kill -TERM -1"];

/**
 * Ends everything in a container: TERM, up to the grace, then KILL. `over` aborts when it has ended. Throws
 * EngineTrouble when it could not be ended.
 */
export async function stopContainer(container: Container, graceMs: number, over: AbortSignal): Promise<void> {
  await quietly(() => callEngine("unpause", (abortSignal) => container.unpause({ abortSignal }), { withinMs: 5_000 }));
  if (graceMs > 0 && !over.aborted) {
    const asking = askAll(container);
    await Promise.race([sleep(graceMs, over), asking.then(() => sleep(graceMs, over))]);
  }
  let last: unknown;
  for (const untilMs = performance.now() + INSIST_MS; !over.aborted; await sleep(250, over)) {
    const kill = (abortSignal: AbortSignal) => container.kill({ signal: "SIGKILL", abortSignal });
    last = await quietly(() => callEngine("kill", kill, { withinMs: 5_000 }));
    if (performance.now() > untilMs) break;
  }
  if (!over.aborted) throw last ?? new EngineTrouble("hung", "the container engine did not end the container");
}

async function askAll(container: Container): Promise<void> {
  const failed = await quietly(async () => {
    const exec = await callEngine("exec", (abortSignal) => container.exec({ Cmd: TERM_ALL, abortSignal }));
    await callEngine("exec", (abortSignal) => exec.start({ Detach: true, abortSignal }));
  });
  // An image without a shell.
  if (failed) await quietly(() => callEngine("kill", (s) => container.kill({ signal: "SIGTERM", abortSignal: s })));
}

async function quietly(call: () => Promise<unknown>): Promise<unknown> {
  try {
    await call();
    return undefined;
  } catch (reason) {
    return reason;
  }
}
