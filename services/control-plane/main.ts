import closeWithGrace from "close-with-grace";
import { openLogger } from "../process/logger.ts";
import { readArguments } from "../process/read-arguments.ts";
import { readSettings, SettingsError } from "../process/read-settings.ts";
import { showSettings } from "../process/show-settings.ts";
import { startTracing } from "../process/tracing.ts";
import { openApp } from "./app.ts";
import { bootstrap } from "./bootstrap.ts";
import { CONTROL_PLANE_SETTINGS } from "./config.ts";
import { findContradictions, findMissing } from "./find-contradictions.ts";
import { makeSetupCode } from "./identity/make-setup-code.ts";
import { declareRestored } from "./incarnation/declare-restored.ts";
import { migrate } from "./store/migrate.ts";
import { openDatabase } from "./store/open-database.ts";

const STOP_WITHIN_MS = 20_000;
const COMMANDS = ["config", "new-setup-code", "bootstrap", "restored"];
const USAGE = `Usage: ritmo server [--database-url URL] [--listen ADDRESS] …
       ritmo server config           every setting, its value and where that comes from
       ritmo server new-setup-code   another one-time code for an admin token
       ritmo server bootstrap        tokens for an all-in-one start, as JSON
       ritmo server restored         the database was restored: end every session and lease of before

Runs a control plane over your PostgreSQL. Each setting has a flag of the same name.
`;

/** `ritmo server`: reads its settings, opens a replica, and ends it in order when it is told to. */
async function main(argv: string[]): Promise<void> {
  const { command, help, flags } = readArguments(
    argv,
    Object.values(CONTROL_PLANE_SETTINGS).map((s) => s.name),
    COMMANDS,
  );
  if (help) return print(USAGE);
  const { values, read } = readSettings(CONTROL_PLANE_SETTINGS, process.env, flags, (known) => [
    ...findContradictions(known),
    ...(command === undefined ? findMissing(known) : []),
  ]);
  if (command === "config") return print(showSettings(read));
  const { databaseUrl } = values;
  if (databaseUrl === undefined) throw new SettingsError(findMissing(values).slice(0, 1));
  const logger = openLogger("control-plane", values.logLevel);
  if (command === "bootstrap") return printJson(await withDatabase(databaseUrl, bootstrap));
  if (command === "new-setup-code") {
    return printJson({
      setupCode: await withDatabase(databaseUrl, (db) => makeSetupCode({ db }, { alsoWithTokens: true })),
    });
  }
  if (command === "restored") return printJson(await withDatabase(databaseUrl, declareRestored));
  const stopTracing = await startTracing("control-plane", process.env);
  const app = await openApp({ ...values, databaseUrl }, logger);
  logger.info({ url: app.url, workers: app.workerAddress, metrics: app.metricsAddress }, "ready");
  const code = await makeSetupCode(app.core);
  if (code) process.stdout.write(`Sign in once within 15 minutes: ${app.url}/#code=${code}\n`);
  closeWithGrace({ delay: STOP_WITHIN_MS, logger: false }, async ({ err, signal }) => {
    if (err) logger.fatal({ err }, "a fault of ours; stopping");
    else logger.info({ signal }, "stopping");
    await app.stop();
    await stopTracing();
  });
}

async function withDatabase<T>(url: string, run: (db: ReturnType<typeof openDatabase>) => Promise<T>): Promise<T> {
  const db = openDatabase({ url });
  try {
    await migrate(db, openLogger("control-plane", "warn"));
    return await run(db);
  } finally {
    await db.close();
  }
}

function printJson(value: unknown): void {
  print(`${JSON.stringify(value)}\n`);
}

function print(text: string): void {
  // A reader that has enough (`| head`) is no fault.
  process.stdout.on("error", () => {});
  process.stdout.write(text);
}

main(process.argv.slice(2)).catch((reason: unknown) => {
  // What a person can mend is one line each; anything else is ours, and its stack helps.
  const known =
    reason instanceof Error &&
    (reason.name.endsWith("Error") || reason.name === "Refusal") &&
    reason.name !== "TypeError";
  const lines = known ? (reason as Error).message : ((reason as Error).stack ?? String(reason));
  process.stderr.write(`ritmo server: ${lines.split("\n").join("\nritmo server: ")}\n`);
  process.exit(reason instanceof SettingsError ? 2 : 1);
});
