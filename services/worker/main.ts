import { openLogger } from "../process/logger.ts";
import { readArguments } from "../process/read-arguments.ts";
import { readSettings, SettingsError } from "../process/read-settings.ts";
import { showSettings } from "../process/show-settings.ts";
import { WORKER_SETTINGS } from "./config.ts";
import type { LinkEnd } from "./link/keep-link.ts";
import { WorkDirTaken } from "./lock-work-dir.ts";
import { openWorker } from "./open-worker.ts";

// 4 is what the command line says for "not signed in or refused" as well.
const EXIT: Record<LinkEnd["reason"], number> = { closed: 0, replaced: 3, unauthenticated: 4, "upgrade-required": 5 };
const WHY: Record<LinkEnd["reason"], string> = {
  closed: "left",
  replaced: "another process took this worker's place",
  unauthenticated: "the control plane does not know this token; `ritmo worker create` makes one",
  "upgrade-required": "the control plane is too new for this worker; upgrade it",
};

const USAGE = `Usage: ritmo worker [--control-plane HOST:PORT] [--slots N] [--labels k=v,…] …
       ritmo worker config   every setting, its value and where that comes from

Builds steps for the control plane that its token is of. Each setting has a flag of the same name.
`;

/** `ritmo worker`: reads its settings, attends to the control plane, and leaves in order when it is told to. */
async function main(argv: string[]): Promise<number> {
  const { command, help, flags } = readArguments(
    argv,
    Object.values(WORKER_SETTINGS).map(({ name }) => name),
    ["config"],
  );
  if (help) return print(USAGE);
  const { values, read } = readSettings(WORKER_SETTINGS, process.env, flags);
  if (command === "config") return print(showSettings(read));
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

function print(text: string): number {
  process.stdout.write(text);
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
