import type { Db } from "../../control-plane/store/open-database.ts";
import type { Ritmo } from "../start-ritmo.ts";

/** What a measure gets: one control plane over a database of its own, no workers yet. */
export interface Bench {
  ritmo: Ritmo;
  db: Db;
  databaseUrl: string;
  /** Few repetitions, for trying the benchmark itself. */
  quick: boolean;
}

/** Pipeline text of steps with the same commands each; `more` is further keys. */
export function bareSteps(count: number, run: string, { checkout = false, more = "" } = {}): string {
  const step = `{ checkout: ${checkout}, run: ${JSON.stringify(run)}${more} }`;
  const steps = Array.from({ length: count }, (_, i) => `  s${i}: ${step}`);
  return `version: 1\nsteps:\n${steps.join("\n")}\n`;
}
