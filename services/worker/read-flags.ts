import { SettingsError } from "../process/read-settings.ts";

/**
 * Reads `[command] --slots 2 --labels=gpu=true …`: each setting has a flag of its name without `RITMO_`, in lower case
 * with dashes. Throws a SettingsError that names every word that is not known.
 */
export function readFlags(
  argv: string[],
  settings: string[],
): { command: string | undefined; flags: Record<string, string> } {
  const nameOf = new Map(settings.map((name) => [flagOf(name), name]));
  const flags: Record<string, string> = {};
  const faults: string[] = [];
  let command: string | undefined;
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at] as string;
    const [flag = "", direct] = word.split(/=(.*)/s, 2);
    const name = nameOf.get(flag);
    if (name) {
      const value = direct ?? argv[++at];
      if (value === undefined) faults.push(`${flag}: its value is missing`);
      else flags[name] = value;
    } else if (word === "config" && command === undefined) command = word;
    else faults.push(`${word}: no such flag; \`ritmo worker config\` lists the settings`);
  }
  if (faults.length > 0) throw new SettingsError(faults);
  return { command, flags };
}

function flagOf(name: string): string {
  return `--${name
    .replace(/^RITMO_/, "")
    .toLowerCase()
    .replaceAll("_", "-")}`;
}
