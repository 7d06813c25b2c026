import { expect, test } from "vitest";
import { gapSeconds } from "../queue/in-grace.ts";
import { beatEveryMs } from "./keep-up.ts";

test.each([2, 3, 4, 10, 20, 600])(
  "with a lease of %i s the pulse's own rhythm is never taken for a gap",
  (leaseSeconds) => {
    // A sweep waits up to a fifth longer than it says; twice that leaves room for a slow statement.
    expect(beatEveryMs(leaseSeconds) * 1.2 * 2).toBeLessThan(gapSeconds(leaseSeconds) * 1_000);
  },
);
