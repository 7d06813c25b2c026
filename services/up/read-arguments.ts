import { parseArgs } from "node:util";

export interface UpArguments {
  help: boolean;
  /** `ritmo up config`: show the settings, start nothing. */
  config: boolean;
  /** By the setting's name. */
  flags: Record<string, string>;
}

/** What was typed is not understood; the message says what. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** Reads the arguments of `ritmo up`: each setting has a flag, `--data-dir` for RITMO_DATA_DIR. Throws UsageError. */
export function readArguments(args: string[], settingNames: string[]): UpArguments {
  const options = Object.fromEntries(settingNames.map((name) => [flagOf(name), { type: "string" as const }]));
  const { values, positionals } = parse(args, options);
  const [word, ...rest] = positionals;
  if ((word !== undefined && word !== "config") || rest.length > 0) {
    throw new UsageError(`ritmo up does not know ${JSON.stringify(word === "config" ? rest[0] : word)}`);
  }
  const flags = settingNames.flatMap((name) => {
    const value = values[flagOf(name)];
    return typeof value === "string" ? [[name, value]] : [];
  });
  return { help: values["help"] === true, config: word === "config", flags: Object.fromEntries(flags) };
}

function flagOf(name: string): string {
  return name
    .replace(/^RITMO_/, "")
    .toLowerCase()
    .replaceAll("_", "-");
}

function parse(args: string[], options: Record<string, { type: "string" }>) {
  try {
    const help = { type: "boolean" as const, short: "h" };
    const { values, positionals } = parseArgs({ args, allowPositionals: true, options: { ...options, help } });
    return { values: values as Record<string, string | boolean | undefined>, positionals };
  } catch (reason) {
    throw new UsageError((reason as Error).message.split(". ")[0]);
  }
}
