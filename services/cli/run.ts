import { readFileSync } from "node:fs";
import { type Command, CommanderError } from "commander";
import type { Cli } from "./cli.ts";
import { CliError, EXIT } from "./exit-codes.ts";
import { type Io, OutputClosed } from "./io.ts";
import { neutraliseLines } from "./neutralise.ts";
import { buildProgram } from "./program.ts";

/** Carries out one command line and answers its exit code; never throws. */
export async function run(argv: string[], io: Io): Promise<number> {
  const cli = newCli(io);
  try {
    await parse(argv, cli);
    return cli.exitCode;
  } catch (reason) {
    return await failed(reason, cli);
  }
}

async function parse(argv: string[], cli: Cli): Promise<void> {
  // Only words can be nouns; a value that happens to be one merely loads a little more.
  const program = await cli.tree((noun) => argv.includes(noun));
  program.version(version(), "-V, --version", "print the version");
  const written: Promise<void>[] = [];
  const configure = (command: Command) => {
    command.configureOutput({
      writeOut: (text) => written.push(cli.io.stdout.write(text)),
      writeErr: (text) => written.push(cli.io.stderr.write(neutraliseLines(text))),
      getOutHelpWidth: () => Math.min(cli.io.columns, 110),
      getErrHelpWidth: () => Math.min(cli.io.columns, 110),
      getOutHasColors: () => true,
      getErrHasColors: () => true,
    });
    command.commands.forEach(configure);
  };
  configure(program);
  try {
    await program.parseAsync(argv.length > 0 ? argv : ["--help"], { from: "user" });
  } finally {
    await Promise.all(written);
  }
}

async function failed(reason: unknown, { io, server }: Cli): Promise<number> {
  if (reason instanceof OutputClosed) return EXIT.good;
  if (reason instanceof CommanderError) return reason.exitCode === 0 ? EXIT.good : EXIT.usage;
  if (io.signal.aborted && !(reason instanceof CliError)) return EXIT.interrupted;
  const { explainError } = await import("./explain-error.ts");
  const { text, exitCode } = explainError(reason, server);
  await io.stderr.write(`ritmo: ${neutraliseLines(text)}\n`);
  return exitCode;
}

function version(): string {
  const text = readFileSync(new URL("../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}

/** All nouns with all their verbs, for the reference. */
export function wholeProgram(io: Io): Promise<Command> {
  return newCli(io).tree(() => true);
}

function newCli(io: Io): Cli {
  const cli: Cli = { io, flags: {}, exitCode: EXIT.good, tree: (wanted) => buildProgram(cli, wanted) };
  return cli;
}
