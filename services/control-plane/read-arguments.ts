import { SettingsError } from "../process/read-settings.ts";

export interface Arguments {
  command: string | undefined;
  /** By the name of the setting. */
  flags: Record<string, string>;
}

/**
 * Reads `[command] --listen VALUE --reflection=false …`: every setting has a flag of the same name without `RITMO_`,
 * in lower case with dashes. Throws a SettingsError that names what is not known.
 */
export function readArguments(argv: string[], settings: string[]): Arguments {
  const byFlag = new Map(
    settings.map((name) => [
      `--${name
        .replace(/^RITMO_/, "")
        .toLowerCase()
        .replaceAll("_", "-")}`,
      name,
    ]),
  );
  const flags: Record<string, string> = {};
  let command: string | undefined;
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i] as string;
    if (!word.startsWith("--")) {
      if (command !== undefined) throw new SettingsError([`${word}: one command at a time; ${command} came first`]);
      command = word;
      continue;
    }
    const [flag = "", direct] = word.split(/=(.*)/s, 2);
    if (flag === "--new-setup-code") {
      command = "new-setup-code";
      continue;
    }
    const name = byFlag.get(flag);
    if (!name) throw new SettingsError([`${flag}: no such flag; \`ritmo server config\` lists the settings`]);
    const value = direct ?? argv[++i];
    if (value === undefined) throw new SettingsError([`${flag}: its value is missing`]);
    flags[name] = value;
  }
  return { command, flags };
}
