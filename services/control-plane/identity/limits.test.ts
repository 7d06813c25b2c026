import { expect, test, vi } from "vitest";
import { limitGuesses } from "./limit-guesses.ts";
import { rememberLookups } from "./remember-lookups.ts";

test("ten wrong guesses a minute and peer", () => {
  let now = 0;
  const limit = limitGuesses(() => now);
  for (let i = 0; i < 10; i++) limit.wrong("a");
  now = 20_000;
  expect(() => limit.check("a")).toThrow(
    expect.objectContaining({ code: "resource_exhausted", details: { retryAfterMs: 40_000 } }),
  );
  expect(() => limit.check("b")).not.toThrow();
  now = 60_000;
  expect(() => limit.check("a")).not.toThrow();
});

test("a lookup is asked once for many, remembered for its time, and a failure not at all", async () => {
  let now = 0;
  const look = vi.fn(async (key: string) => key.toUpperCase());
  const find = rememberLookups(look, { forMs: 3_000, nowMs: () => now });
  expect(await Promise.all([find("a"), find("a"), find("a")])).toEqual(["A", "A", "A"]);
  now = 2_999;
  await find("a");
  expect(look).toHaveBeenCalledTimes(1);
  now = 3_000;
  await find("a");
  expect(look).toHaveBeenCalledTimes(2);
  look.mockRejectedValueOnce(new Error("away"));
  await expect(find("b")).rejects.toThrow("away");
  expect(await find("b")).toBe("B");
});

test("guesses can't fill the memory", async () => {
  const look = vi.fn(async () => undefined);
  const find = rememberLookups(look, { forMs: 60_000, atMost: 3, nowMs: () => 0 });
  for (const key of ["a", "b", "c", "d"]) await find(key);
  await find("d");
  expect(look).toHaveBeenCalledTimes(4);
  await find("a");
  expect(look).toHaveBeenCalledTimes(5);
});
