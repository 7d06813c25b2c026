import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { constants } from "node:os";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { bindAlone, type Cli } from "../cli.ts";
import { CliError, EXIT } from "../exit-codes.ts";

/** Makes a command start another main of Ritmo, which reads all words after it by itself. */
export function bindProcess(cli: Cli, command: Command, main: string): void {
  command.allowUnknownOption().argument("[flags...]", "any of its settings as a flag: --listen for RITMO_LISTEN");
  bindAlone(cli, command, async () => (_cli, _options, words) => startProcess(cli, main, words));
}

/** Goes on as another main, with this terminal; answers its exit code where it can't take this process's place. */
export async function startProcess(cli: Cli, main: string, args: string[]): Promise<number> {
  const path = fileURLToPath(new URL(`../../${main}`, import.meta.url));
  if (!existsSync(path)) {
    throw new CliError(
      EXIT.error,
      `${path} is not there: this installation is incomplete. Run \`npm ci\` in a whole checkout.`,
    );
  }
  const given = Object.entries(cli.io.env).filter((entry): entry is [string, string] => entry[1] !== undefined);
  const argv = [...process.execArgv, path, ...args];
  // Becoming it leaves nothing to pass on: signals, terminal and exit code are its own.
  if (process.platform !== "win32" && process.execve) {
    process.execve(process.execPath, [process.execPath, ...argv], Object.fromEntries(given));
  }
  return ended(spawn(process.execPath, argv, { stdio: "inherit", env: Object.fromEntries(given) }));
}

function ended(child: ChildProcess): Promise<number> {
  // A terminal's Ctrl-C reaches the child by itself.
  process.on("SIGTERM", () => child.kill("SIGTERM"));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", (code, signal) => resolve(signal ? 128 + constants.signals[signal] : (code ?? EXIT.error)));
  });
}
