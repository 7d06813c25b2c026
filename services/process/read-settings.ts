import { readFileSync, statSync } from "node:fs";

/** One setting: how it is named, what it means, and what it is when nobody says. */
export interface Setting<T> {
  /** `RITMO_LISTEN`; its flag is `--listen`. */
  name: string;
  help: string;
  fallback: T | undefined;
  /** What the documentation shows as the default, where the fallback itself would not tell. */
  shownDefault?: string;
  /** True: its value is never printed. */
  secret?: boolean;
  /** Turns the text into the value, or throws an Error that says what would be right. */
  parse(text: string): T;
}

export type SettingSource = "flag" | "file" | "environment" | "default";

export interface ReadSetting {
  name: string;
  /** As it was given; `***` for a secret. */
  shown: string;
  source: SettingSource;
}

export type Settings<S extends Record<string, Setting<unknown>>> = {
  [K in keyof S]: S[K] extends Setting<infer T> ? T : never;
};

/** Every fault of the configuration at once, one line each. */
export class SettingsError extends Error {
  override readonly name = "SettingsError";
  readonly faults: string[];

  constructor(faults: string[]) {
    super(faults.join("\n"));
    this.faults = faults;
  }
}

/**
 * Reads all settings: flag, then the file that NAME_FILE names, then the environment, then the fallback. Throws one
 * SettingsError that names every fault, those that `contradictions` finds between well-formed values among them.
 */
export function readSettings<S extends Record<string, Setting<unknown>>>(
  table: S,
  env: Record<string, string | undefined>,
  flags: Record<string, string | undefined> = {},
  contradictions: (values: Partial<Settings<S>>) => string[] = () => [],
): { values: Settings<S>; read: ReadSetting[] } {
  const faults: string[] = [];
  const read: ReadSetting[] = [];
  const values: Record<string, unknown> = {};
  for (const [key, setting] of Object.entries(table)) {
    try {
      const given = find(setting.name, env, flags);
      values[key] = given ? setting.parse(given.text) : setting.fallback;
      const shown = given ? given.text : (setting.shownDefault ?? String(setting.fallback ?? ""));
      read.push({
        name: setting.name,
        shown: setting.secret && shown !== "" ? "***" : shown,
        source: given?.source ?? "default",
      });
    } catch (reason) {
      faults.push(`${setting.name}: ${(reason as Error).message}`);
    }
  }
  faults.push(...contradictions(values as Partial<Settings<S>>));
  if (faults.length > 0) throw new SettingsError(faults);
  return { values: values as Settings<S>, read };
}

function find(name: string, env: Record<string, string | undefined>, flags: Record<string, string | undefined>) {
  const flag = flags[name];
  if (flag !== undefined) return { text: flag, source: "flag" as const };
  const path = env[`${name}_FILE`];
  const direct = env[name];
  if (path && direct) throw new Error(`is given twice, by itself and by ${name}_FILE; remove one`);
  if (path) return { text: readSettingFile(name, path), source: "file" as const };
  if (direct !== undefined && direct !== "") return { text: direct, source: "environment" as const };
  return undefined;
}

function readSettingFile(name: string, path: string): string {
  try {
    if (statSync(path).size > 64 * 1024) throw new Error("it is over 64 KiB");
    return readFileSync(path, "utf8").replace(/\r?\n$/, "");
  } catch (reason) {
    throw new Error(`the file that ${name}_FILE names can't be read: ${(reason as Error).message}`);
  }
}
