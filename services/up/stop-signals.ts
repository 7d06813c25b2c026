export interface StopSignals {
  /** Aborts at the first Ctrl-C, and when the process that started this one is gone. */
  stopping: AbortSignal;
  /** Aborts at the second. */
  insisting: AbortSignal;
}

// A terminal's Ctrl-C comes to this process more than once: by itself, and from npm, which passes on what it gets too.
const SAME_CTRL_C_MS = 700;

/** Listens for what asks this process to stop; `say` is called with what a person is told. */
export function listenForStop(say: (line: string) => void): StopSignals {
  const stop = new AbortController();
  const insist = new AbortController();
  let firstAt = 0;
  const onSignal = () => {
    if (stop.signal.aborted) {
      if (Date.now() - firstAt > SAME_CTRL_C_MS) insist.abort();
      return;
    }
    firstAt = Date.now();
    say("Stopping … (Ctrl-C again stops at once)");
    stop.abort();
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, onSignal);
  // start.mjs was killed: what nobody can stop from a terminal any more must not go on.
  process.once("disconnect", onSignal);
  // The channel by which that is told must not keep a process alive that has nothing else to do.
  process.channel?.unref();
  // A terminal that is gone must not end this process before it has stopped its parts.
  process.stdout.on("error", () => {});
  return { stopping: stop.signal, insisting: insist.signal };
}
