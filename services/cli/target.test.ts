import { expect, test } from "vitest";
import { readTarget } from "./target.ts";

test.each([
  ["hello#1", { kind: "build", name: "hello#1" }],
  ["bld_0123", { kind: "build", name: "bld_0123" }],
  ["hello#1/test", { kind: "step", name: "hello#1/test" }],
  ["hello#1/test@2", { kind: "attempt", name: "hello#1/test@2" }],
  ["stp_01", { kind: "step", name: "stp_01" }],
  ["att_01", { kind: "attempt", name: "att_01" }],
  ["https://x/jobs/a/builds/1", { kind: "build", name: "https://x/jobs/a/builds/1" }],
  [
    "https://x/jobs/a/builds/1?step=test#L5",
    { kind: "step", name: "https://x/jobs/a/builds/1?step=test", lines: { first: 5, last: 5 } },
  ],
  [
    "https://x/jobs/a/builds/1?step=t&attempt=2#L5-L9",
    { kind: "attempt", name: "https://x/jobs/a/builds/1?step=t&attempt=2", lines: { first: 5, last: 9 } },
  ],
])("%s", (text, target) => {
  expect(readTarget(text)).toEqual(target);
});
