import { parseArgs } from "node:util";
import { runChaos } from "./run-chaos.ts";

/**
 * `npm run chaos -- [--seed N] [--minutes M]`: kills and freezes control planes, workers and PostgreSQL under many small
 * builds, then holds what is left against what is promised. Ends with 1 when a promise was broken.
 */
async function main(): Promise<void> {
  const { values } = parseArgs({ options: { seed: { type: "string" }, minutes: { type: "string", default: "1" } } });
  const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
  const seconds = Number(values.minutes) * 60;
  if (!Number.isSafeInteger(seed) || !(seconds > 0))
    throw new Error("--seed takes a whole number, --minutes a positive one");
  process.stdout.write(`seed ${seed}, ${seconds} s\n`);
  const { faults, builds, attempts, states, longestPlanSeconds, violations } = await runChaos({ seed, seconds });
  for (const { atMs, what } of faults) process.stdout.write(`${(atMs / 1000).toFixed(1).padStart(7)} s  ${what}\n`);
  const ended = Object.entries(states).map(([state, count]) => `${count} ${state}`);
  process.stdout.write(`${builds} builds (${ended.join(", ")}), ${attempts} attempts, ${faults.length} faults\n`);
  process.stdout.write(`the longest wait for a plan: ${longestPlanSeconds.toFixed(1)} s\n`);
  for (const { invariant, about, what } of violations) process.stdout.write(`BROKEN ${invariant}  ${about}: ${what}\n`);
  process.stdout.write(
    violations.length === 0 ? "every promise was kept\n" : `${violations.length} broken; --seed ${seed}\n`,
  );
  process.exitCode = violations.length === 0 ? 0 : 1;
}

await main();
