import { parseArgs } from "node:util";
import { SettingsError } from "./read-settings.ts";

export interface Arguments {
  /** One of the program's commands, such as `config`. */
  command: string | undefined;
  help: boolean;
  /** By the setting's name. */
  flags: Record<string, string>;
}

/**
 * Reads `[command] --listen VALUE --slots=2 …`: each setting has a flag of its name without `RITMO_`, in lower case
 * with dashes. Throws a SettingsError that names what is not known.
 */
export function readArguments(argv: string[], settingNames: string[], commands: readonly string[]): Arguments {
  const { values, positionals } = parse(argv, settingNames);
  const [command, more] = positionals;
  const stranger = command !== undefined && !commands.includes(command) ? command : more;
  if (stranger !== undefined) {
    throw new SettingsError([`${JSON.stringify(stranger)} is not known here; commands: ${commands.join(", ")}`]);
  }
  const given = settingNames.flatMap((name) => {
    const value = values[flagOf(name)];
    return typeof value === "string" ? [[name, value] as const] : [];
  });
  return { command, help: values["help"] === true, flags: Object.fromEntries(given) };
}

function parse(args: string[], settingNames: string[]) {
  const flags = Object.fromEntries(settingNames.map((name) => [flagOf(name), { type: "string" as const }]));
  const help = { type: "boolean" as const, short: "h" };
  try {
    const { values, positionals } = parseArgs({ args, allowPositionals: true, options: { ...flags, help } });
    return { values: values as Record<string, string | boolean | undefined>, positionals };
  } catch (reason) {
    throw new SettingsError([(reason as Error).message.split(". ")[0] ?? ""]);
  }
}

function flagOf(settingName: string): string {
  return settingName
    .replace(/^RITMO_/, "")
    .toLowerCase()
    .replaceAll("_", "-");
}
