import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import type { Command, Option } from "commander";
import type { Io } from "../../cli/io.ts";
import { wholeProgram } from "../../cli/run.ts";

const MARK = "<!-- Below: made by `npm run docs:generate` from the commands themselves; a test holds it fresh. -->";

const nowhere = { write: async () => {} };
const io: Io = {
  stdout: nowhere,
  stderr: nowhere,
  stdin: Readable.from([]),
  stdinIsTty: false,
  env: {},
  isTty: false,
  columns: 100,
  cwd: ".",
  signal: new AbortController().signal,
};
const program = await wholeProgram(io);

/** docs/cli.md: its hand-written part as it is, then every command with what it takes. */
export function cliPage(): string {
  const page = readFileSync(join(import.meta.dirname, "../../../docs/cli.md"), "utf8");
  const guide = page.split(MARK, 1)[0] ?? "";
  return `${guide}${MARK}\n\n## Reference\n\n${referenceOf(program)}\n`;
}

function referenceOf(root: Command): string {
  const nouns = root.commands.filter((noun) => !noun.name().startsWith("__"));
  return [optionsOf(root, "Every command takes these too:"), ...nouns.map(sectionOf)].join("\n\n");
}

function sectionOf(noun: Command): string {
  const verbs = noun.commands.filter((verb) => verb.name() !== "help");
  const own = verbs.length === 0 || noun.registeredArguments.length > 0 ? [callOf(noun)] : [];
  return [`### ritmo ${noun.name()}`, `${sentence(noun.description())}`, ...own, ...verbs.map(callOf)].join("\n\n");
}

function callOf(command: Command): string {
  const names = [command.name()];
  for (let above = command.parent; above; above = above.parent) names.unshift(above.name());
  const takesOptions = command.options.some((option) => !option.hidden);
  const args = command.registeredArguments.map((argument) => {
    const word = `${argument.name()}${argument.variadic ? "…" : ""}`;
    return argument.required ? word.toUpperCase() : `[${word.toUpperCase()}]`;
  });
  const usage = [...names, ...args, ...(takesOptions ? ["[options]"] : [])].join(" ");
  const alias = command.aliases().length > 0 ? ` Also \`${command.aliases().join("`, `")}\`.` : "";
  const about = command.parent?.parent ? `: ${command.description()}.` : "";
  const described = command.registeredArguments
    .filter(({ description }) => description !== "")
    .map((argument) => `- \`${argument.name().toUpperCase()}\`: ${cell(argument.description)}`);
  return [`**\`${usage}\`**${about}${alias}`, described.join("\n"), optionsOf(command)]
    .filter((part) => part !== "")
    .join("\n\n");
}

function optionsOf(command: Command, title = ""): string {
  const shown = command.options.filter((option) => !option.hidden);
  if (shown.length === 0) return "";
  const rows = shown.map((option) => `| \`${option.flags}\` | ${cell(option.description)}${fallbackOf(option)} |`);
  return [...(title ? [title, ""] : []), "| Option | |", "| --- | --- |", ...rows].join("\n");
}

function fallbackOf({ defaultValue, negate }: Option): string {
  return defaultValue === undefined || negate || defaultValue === true
    ? ""
    : `; \`${String(defaultValue)}\` unless told`;
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("<", "&lt;");
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}
