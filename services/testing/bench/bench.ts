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

/** Pipeline text of steps that check nothing out, each with the same commands. */
export function bareSteps(count: number, run: string): string {
  const steps = Array.from({ length: count }, (_, i) => `  s${i}: { checkout: false, run: ${JSON.stringify(run)} }`);
  return `version: 1\nsteps:\n${steps.join("\n")}\n`;
}
