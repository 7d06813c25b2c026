import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { constants } from "node:os";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { bindAlone, type Cli } from "../cli.ts";
import { CliError, EXIT, usage } from "../exit-codes.ts";

/** Makes a command start another main of Ritmo; every flag that it does not know is a setting of that process. */
export function bindProcess(cli: Cli, command: Command, main: string, rest: string[] = []): void {
  command.allowUnknownOption().argument("[flags...]", "any of its settings as a flag: --listen for RITMO_LISTEN");
  bindAlone(cli, command, async () => async (_cli, _options, flags) => {
    const { args, env } = readFlags([...rest, ...flags]);
    return startProcess(cli, main, args, env);
  });
}

// Not settings but things to do: the process itself reads these.
const PASSED_ON = new Set(["--new-setup-code"]);

/** `--listen 127.0.0.1:0` or `--listen=…` as RITMO_LISTEN; a flag without a value is `true`. */
export function readFlags(words: string[]): { args: string[]; env: Record<string, string> } {
  const args: string[] = [];
  const env: Record<string, string> = {};
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? "";
    const match = /^--([a-z][a-z0-9-]*)(?:=(.*))?$/s.exec(word);
    if (!match || PASSED_ON.has(word)) {
      if (word.startsWith("-") && !PASSED_ON.has(word))
        throw usage(`${JSON.stringify(word)} is not a flag like --listen 127.0.0.1:7480.`);
      args.push(word);
      continue;
    }
    const next = words[i + 1];
    const takesNext = match[2] === undefined && next !== undefined && !next.startsWith("--");
    if (takesNext) i++;
    env[`RITMO_${(match[1] ?? "").toUpperCase().replaceAll("-", "_")}`] = match[2] ?? (takesNext ? next : "true");
  }
  return { args, env };
}

/** Goes on as another main, with this terminal; answers its exit code where it can't take this process's place. */
export async function startProcess(
  cli: Cli,
  main: string,
  args: string[],
  env: Record<string, string>,
): Promise<number> {
  const path = fileURLToPath(new URL(`../../${main}`, import.meta.url));
  if (!existsSync(path))
    throw new CliError(
      EXIT.error,
      `${path} is not there: this installation is incomplete. Run \`npm ci\` in a whole checkout.`,
    );
  const whole = Object.fromEntries(
    Object.entries({ ...cli.io.env, ...env }).filter(([, value]) => value !== undefined),
  ) as Record<string, string>;
  const argv = [...process.execArgv, path, ...args];
  // Becoming it leaves nothing to pass on: signals, terminal and exit code are its own.
  if (process.platform !== "win32" && process.execve)
    process.execve(process.execPath, [process.execPath, ...argv], whole);
  return ended(spawn(process.execPath, argv, { stdio: "inherit", env: whole }));
}

function ended(child: ChildProcess): Promise<number> {
  // A terminal's Ctrl-C reaches the child by itself.
  process.on("SIGTERM", () => child.kill("SIGTERM"));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", (code, signal) => resolve(signal ? 128 + constants.signals[signal] : (code ?? EXIT.error)));
  });
}
