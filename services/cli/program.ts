import { Command } from "commander";
import { type Cli, globalOptions } from "./cli.ts";
import { NOUNS } from "./nouns.ts";
import { paint } from "./paint.ts";

const EXAMPLES = `
Examples:
  $ ritmo job create hello --repo https://git.example.com/hello.git
  $ ritmo build run hello --branch main --watch
  $ ritmo build view hello#2
  $ ritmo build logs hello#2 --step test

Builds are named job#number, by id, or by their web address. Exit codes: 0 good, 1 error, 2 usage,
3 gave up waiting, 4 not signed in or refused, 9 the watched build failed, 130 Ctrl-C.`;

/**
 * The tree of commands. Only the nouns that `wanted` accepts get their verbs, since loading all of them takes longer
 * than most commands do.
 */
export async function buildProgram(cli: Cli, wanted: (noun: string) => boolean): Promise<Command> {
  const program = new Command("ritmo")
    .description("Ritmo, a distributed build system.")
    .enablePositionalOptions()
    .configureHelp({
      showGlobalOptions: true,
      styleTitle: (text) => paint(cli.io, "bold", text),
    })
    .exitOverride()
    .showHelpAfterError("Run it with --help for what it takes.")
    .addHelpText("after", EXAMPLES);
  for (const option of globalOptions()) program.addOption(option);
  for (const noun of NOUNS) {
    const command = program.command(noun.name, { hidden: noun.hidden === true }).description(noun.summary);
    if (!wanted(noun.name)) continue;
    const add = await noun.load();
    add(command, cli);
  }
  return program;
}
