// `npm test`: the checks, then every test. The last line counts both; arguments go to vitest.
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runChecks } from "./check.mjs";
import { installWhatIsMissing, pinnedEnvironment, pinnedNode, ROOT } from "./install.mjs";

installWhatIsMissing();
const checks = await runChecks();
const tests = await runTests(process.argv.slice(2));
const skipped = [...checks.skipped, ...tests.skipped];
const failed = checks.failed + tests.failed;
for (const line of skipped) process.stdout.write(`skipped: ${line}\n`);
process.stdout.write(`${checks.passed + tests.passed} passed, ${failed} failed, ${skipped.length} skipped\n`);
process.exitCode = failed > 0 ? 1 : 0;

async function runTests(args) {
  const folder = mkdtempSync(join(tmpdir(), "ritmo-tally-"));
  const path = join(folder, "tally.json");
  try {
    const code = await vitest(args, path);
    const tally = existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : { passed: 0, failed: 0, skipped: [] };
    // A run that ended badly with no test to blame (its set-up failed, say) is a failure of its own.
    if (code !== 0 && tally.failed === 0) tally.failed = 1;
    return tally;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function vitest(args, tally) {
  const program = join(ROOT, "node_modules/vitest/vitest.mjs");
  const child = spawn(pinnedNode(), [program, "run", ...args], {
    cwd: ROOT,
    env: { ...pinnedEnvironment(), RITMO_TEST_TALLY: tally },
    stdio: "inherit",
  });
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => child.kill(signal));
  return new Promise((resolve) => child.once("exit", (code) => resolve(code ?? 1)));
}
