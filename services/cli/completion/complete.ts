import type { Command, Option } from "commander";
import type { Cli } from "../cli.ts";
import { namesFor } from "./names-for.ts";

/** Prints what may stand in place of the last word, one a line, with a tab before what it is about. */
export async function complete(cli: Cli, _options: object, words: string[]): Promise<void> {
  const typed = words[0] === "--" ? words.slice(1) : words;
  const last = typed.at(-1) ?? "";
  const before = typed.slice(0, -1);
  const program = await cli.tree((noun) => before.includes(noun));
  const { command, args } = walk(program, before);
  const found = await candidates(cli, { command, args, before, last });
  const fitting = found.filter(([name]) => name.startsWith(last)).slice(0, 200);
  await cli.io.stdout.write(fitting.map(([name, about]) => `${about ? `${name}\t${about}` : name}\n`).join(""));
}

type Candidate = [name: string, about?: string];

interface Place {
  command: Command;
  args: string[];
  before: string[];
  last: string;
}

async function candidates(cli: Cli, { command, args, before, last }: Place): Promise<Candidate[]> {
  const options = command.options.filter((option) => !option.hidden);
  const open = takesValue(options, before.at(-1));
  if (open) return asCandidates(await namesFor(cli, open.attributeName()));
  if (last.startsWith("-")) return options.map((option) => [option.long ?? option.flags, option.description]);
  const shown = command.commands.filter((sub) => !sub.name().startsWith("__"));
  if (shown.length > 0) return shown.map((sub) => [sub.name(), sub.description()]);
  const argument = command.registeredArguments[args.length] ?? command.registeredArguments.find((a) => a.variadic);
  return asCandidates(argument ? await namesFor(cli, argument.name()) : []);
}

function asCandidates(names: string[]): Candidate[] {
  return names.map((name) => [name]);
}

function takesValue(options: readonly Option[], word: string | undefined): Option | undefined {
  if (!word?.startsWith("-")) return undefined;
  return options.find((option) => option.required && (option.long === word || option.short === word));
}

/** Follows the words into the tree as far as they are commands; what is left are arguments. */
function walk(program: Command, words: string[]): { command: Command; args: string[] } {
  let command = program;
  const args: string[] = [];
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? "";
    if (word.startsWith("-")) {
      if (takesValue(command.options, word)) i++;
      continue;
    }
    const next: Command | undefined = command.commands.find(
      (sub) => sub.name() === word || sub.aliases().includes(word),
    );
    if (next && args.length === 0) command = next;
    else args.push(word);
  }
  return { command, args };
}
