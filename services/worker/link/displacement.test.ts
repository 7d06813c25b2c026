import { expect, test } from "vitest";
import { displacement } from "./displacement.ts";

const MINUTE_MS = 60_000;

test("a stream that is superseded comes back once in a minute, and once for each Hello that was lost", () => {
  let now = 0;
  const place = displacement(() => now);
  expect(place.isRival("stream")).toBe(false);
  now += MINUTE_MS - 1;
  expect(place.isRival("stream")).toBe(true);
  now += 1;
  expect(place.isRival("stream")).toBe(false);
  for (let lost = 0; lost < 2; lost++) place.helloLost(false);
  expect([1, 2, 3].map(() => place.isRival("stream"))).toEqual([false, false, true]);
  // However many were lost, it ends; and what was lost long ago counts for nothing.
  for (let lost = 0; lost < 50; lost++) place.helloLost(false);
  expect([1, 2, 3, 4].map(() => place.isRival("stream"))).toEqual([false, false, false, true]);
  place.helloLost(false);
  now += 10 * MINUTE_MS;
  expect([1, 2].map(() => place.isRival("stream"))).toEqual([false, true]);
});

test("a session that is replaced is taken back only after a Hello that began one was lost, and once", () => {
  let now = 0;
  const place = displacement(() => now);
  place.helloLost(false);
  expect(place.isRival("session")).toBe(true);
  for (let lost = 0; lost < 50; lost++) place.helloLost(true);
  expect([1, 2].map(() => place.isRival("session"))).toEqual([false, true]);
  place.helloLost(true);
  now += 10 * MINUTE_MS;
  expect(place.isRival("session")).toBe(true);
});
