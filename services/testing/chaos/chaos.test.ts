import { expect, test } from "vitest";
import { runChaos } from "./run-chaos.ts";

// The short form, of a seed that has every kind of fault in it; `npm run chaos` goes on for as long as one likes.

test("builds go through killed and frozen parts, and every promise is kept", async () => {
  const report = await runChaos({ seed: 7, seconds: 20 });
  expect(report.violations).toEqual([]);
  expect(report.faults.length).toBeGreaterThan(4);
  expect(report.builds).toBeGreaterThan(3);
  expect(report.attempts).toBeGreaterThanOrEqual(report.builds);
}, 180_000);
