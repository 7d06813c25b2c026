import { openLogger } from "../process/logger.ts";
import { type ReadSetting, readSettings, SettingsError } from "../process/read-settings.ts";
import { WORKER_SETTINGS } from "./config.ts";
import type { LinkEnd } from "./link/keep-link.ts";
import { WorkDirTaken } from "./lock-work-dir.ts";
import { openWorker } from "./open-worker.ts";
import { readFlags } from "./read-flags.ts";

// 4 is what the command line says for "not signed in or refused" as well.
const EXIT: Record<LinkEnd["reason"], number> = { closed: 0, replaced: 3, unauthenticated: 4, "upgrade-required": 5 };
const WHY: Record<LinkEnd["reason"], string> = {
  closed: "left",
  replaced: "another process took this worker's place",
  unauthenticated: "the control plane does not know this token; `ritmo worker create` makes one",
  "upgrade-required": "the control plane is too new for this worker; upgrade it",
};

/** `ritmo worker`: reads its settings, attends to the control plane, and leaves in order when it is told to. */
async function main(argv: string[]): Promise<number> {
  const { command, flags } = readFlags(
    argv,
    Object.values(WORKER_SETTINGS).map(({ name }) => name),
  );
  const { values, read } = readSettings(WORKER_SETTINGS, process.env, flags);
  if (command === "config") return printSettings(read);
  const { token } = values;
  if (!token) {
    throw new SettingsError(["RITMO_WORKER_TOKEN: is missing; `ritmo worker create NAME` prints one, once"]);
  }
  const log = openLogger("worker", values.logLevel);
  const worker = await openWorker({ ...values, token }, process.env, log);
  let asked = 0;
  const leave = (signal: NodeJS.Signals) => {
    log.info({ signal }, asked === 0 ? "leaving when the steps in hand are over" : "stopping the steps in hand");
    if (asked++ === 0) worker.drain();
    else worker.stopNow();
  };
  process.on("SIGTERM", leave);
  process.on("SIGINT", leave);
  const end = await worker.over;
  if (end.reason !== "closed") process.stderr.write(`ritmo worker: ${WHY[end.reason]} (${end.message})\n`);
  return EXIT[end.reason];
}

function printSettings(read: ReadSetting[]): number {
  const width = Math.max(...read.map(({ name }) => name.length));
  for (const { name, shown, source } of read)
    process.stdout.write(`${name.padEnd(width)}  ${shown || "–"}  (${source})\n`);
  return 0;
}

function explain(reason: unknown): { code: number; text: string } {
  if (reason instanceof SettingsError) return { code: 2, text: reason.message };
  if (reason instanceof WorkDirTaken) return { code: 1, text: reason.message };
  const { code, message, stack } = reason as NodeJS.ErrnoException;
  // A folder that can't be written and the like: a line is enough. Anything else is ours, and its stack helps.
  return { code: 1, text: code ? message : (stack ?? String(reason)) };
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (reason) {
  const { code, text } = explain(reason);
  process.stderr.write(`ritmo worker: ${text.split("\n").join("\nritmo worker: ")}\n`);
  process.exitCode = code;
}
process.exit();
