import { findContradictions } from "../control-plane/find-contradictions.ts";
import { PostgresStartError } from "../postgres/postgres-start-error.ts";
import { readArguments } from "../process/read-arguments.ts";
import { readSettings, SettingsError } from "../process/read-settings.ts";
import { showSettings } from "../process/show-settings.ts";
import { UP_SETTINGS } from "./config.ts";
import { runUp } from "./run-up.ts";
import { listenForStop } from "./stop-signals.ts";
import { openTell } from "./tell.ts";
import { UpProblem } from "./up-problem.ts";

const USAGE = `Usage: ritmo up [--data-dir DIR] [--listen ADDRESS] …   (npm start runs this)
       ritmo up config

Starts PostgreSQL, the control plane and one worker on this machine, and stops them at Ctrl-C.
\`ritmo up config\` shows every setting, its value and where that comes from; each has a flag of the same name.
`;

async function main(args: string[]): Promise<number> {
  try {
    const names = Object.values(UP_SETTINGS).map(({ name }) => name);
    const { help, command, flags } = readArguments(args, names, ["config"]);
    if (help) return print(USAGE);
    const { values, read } = readSettings(UP_SETTINGS, process.env, flags, findContradictions);
    if (command === "config") return print(showSettings(read));
    const signals = listenForStop((line) => print(`\n  ${line}\n`));
    const env = { ...process.env, ...flags };
    await runUp({ config: values, env, tell: openTell(process.stdout), ...signals });
    return print("  Stopped.\n");
  } catch (reason) {
    if (reason instanceof SettingsError) return complain(reason.faults.join("\n"), 2);
    if (reason instanceof UpProblem || reason instanceof PostgresStartError) return complain(reason.message, 1);
    throw reason;
  }
}

function print(text: string): number {
  process.stdout.write(text);
  return 0;
}

function complain(message: string, exitCode: number): number {
  process.stderr.write(`${message}\n`);
  return exitCode;
}

process.exitCode = await main(process.argv.slice(2));
