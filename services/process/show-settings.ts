import type { ReadSetting } from "./read-settings.ts";

const WIDEST_VALUE = 40;

/** What `config` prints: each setting, what it is and where that comes from. */
export function showSettings(read: ReadSetting[]): string {
  const widest = (key: "name" | "shown") => Math.max(...read.map((setting) => setting[key].length));
  const [names, values] = [widest("name"), Math.min(WIDEST_VALUE, widest("shown"))];
  return read
    .map(({ name, shown, source }) => `${name.padEnd(names)}  ${(shown || "–").padEnd(values)}  ${source}\n`)
    .join("");
}
