import { EXIT } from "./exit-codes.ts";
import { processIo } from "./io.ts";
import { run } from "./run.ts";

const interrupted = new AbortController();
process.on("SIGINT", () => {
  // The first lets the command say how things stand; the second insists.
  if (interrupted.signal.aborted) process.exit(EXIT.interrupted);
  interrupted.abort();
});

const code = await run(process.argv.slice(2), processIo(interrupted.signal));
// Idle connections and timers of streams that are given up would otherwise hold the process.
process.exit(code);
