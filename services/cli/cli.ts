import { type Command, Option } from "commander";
import { usage } from "./exit-codes.ts";
import type { Io } from "./io.ts";

/** Options that every command takes, before or after its own. */
export interface GlobalFlags {
  server?: string;
  token?: string;
  context?: string;
}

/** One run of `ritmo`. */
export interface Cli {
  io: Io;
  flags: GlobalFlags;
  exitCode: number;
  /** The tree of commands, with the verbs of the nouns that are wanted. */
  tree(wanted: (noun: string) => boolean): Promise<Command>;
  /** Where the server's address came from, once it is known: for error messages. */
  server?: { url: string; source: string };
}

/** What a verb gets: its options as commander read them. Answers the exit code where it is not 0. */
// biome-ignore lint/suspicious/noExplicitAny: the shape of options is commander's to say, each verb names its own.
type Verb = (cli: Cli, options: any, args: string[]) => Promise<unknown>;

/** Binds a verb, which is loaded only when it is called, to a command, which then takes the global options too. */
export function bind(cli: Cli, command: Command, load: () => Promise<Verb>): Command {
  for (const option of globalOptions()) command.addOption(option.hideHelp());
  return bindAlone(cli, command, load);
}

/** The same without the global options, for a command whose own flags may bear these names. */
export function bindAlone(cli: Cli, command: Command, load: () => Promise<Verb>): Command {
  return command.action(async () => {
    const all = command.optsWithGlobals();
    const flags = Object.entries(all).filter(([name, value]) => GLOBAL.has(name) && typeof value === "string");
    cli.flags = Object.fromEntries(flags);
    refuseEmpty(command, all);
    const verb = await load();
    const args = command.processedArgs.flat().filter((arg): arg is string => arg !== undefined);
    const code = await verb(cli, command.opts(), args);
    cli.exitCode = typeof code === "number" ? code : 0;
  });
}

// Text for people, and requests, may be empty; what names something may not: it comes from a variable that is not set.
const MAY_BE_EMPTY = new Set(["description", "reason", "data"]);

function refuseEmpty(command: Command, values: Record<string, unknown>): void {
  for (const option of [...command.options, ...globalOptions()]) {
    const name = option.attributeName();
    if (MAY_BE_EMPTY.has(name) || ![values[name]].flat().includes("")) continue;
    throw usage(`${option.long} has an empty value. Leave it out, or say which; a variable may not be set.`);
  }
}

const GLOBAL = new Set(["server", "context", "token"]);

/** Options that may stand before the noun or after the verb. */
export function globalOptions(): Option[] {
  return [
    new Option("--server <url>", "the server's address (RITMO_SERVER)"),
    new Option("--context <name>", "one of `ritmo context list` (RITMO_CONTEXT)"),
    new Option("--token <token>", "better given by RITMO_TOKEN or RITMO_TOKEN_FILE: arguments are seen by others"),
  ];
}
