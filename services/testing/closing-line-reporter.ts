import { writeFileSync } from "node:fs";
import type { Reporter, TestModule, TestRunEndReason } from "vitest/node";

interface Tally {
  passed: number;
  failed: number;
  /** `file: name: reason`, one for each test that did not run. */
  skipped: string[];
}

/**
 * Counts the tests of a run. Under `npm test` the count goes to the file that RITMO_TEST_TALLY names, to be added to
 * the checks' own; otherwise the closing line is printed here.
 */
export default class ClosingLineReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly unknown[], _reason: TestRunEndReason): void {
    const tally = count(modules, unhandled.length);
    const path = process.env["RITMO_TEST_TALLY"];
    if (path) writeFileSync(path, JSON.stringify(tally));
    else print(tally);
  }
}

function count(modules: readonly TestModule[], unhandled: number): Tally {
  const tally: Tally = { passed: 0, failed: unhandled, skipped: [] };
  for (const module of modules) {
    // A file that can't be loaded, or a hook that threw.
    if (module.errors().length > 0) tally.failed++;
    for (const test of module.children.allTests()) {
      const result = test.result();
      if (result.state === "passed") tally.passed++;
      else if (result.state === "failed") tally.failed++;
      else tally.skipped.push(`${module.relativeModuleId}: ${test.fullName}: ${noteOf(result)}`);
    }
  }
  return tally;
}

function noteOf(result: { state: string; note?: string | undefined }): string {
  if (result.note) return result.note;
  return result.state === "pending" ? "did not finish" : "no reason given";
}

function print({ passed, failed, skipped }: Tally): void {
  for (const line of skipped) process.stdout.write(`skipped: ${line}\n`);
  process.stdout.write(`${passed} passed, ${failed} failed, ${skipped.length} skipped\n`);
}
