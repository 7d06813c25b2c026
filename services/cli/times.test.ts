import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { ago, durationText, readDuration, sizeText } from "./times.ts";

test.each([
  [-5, "0 s"],
  [0, "0 s"],
  [41, "41 ms"],
  [420, "0.4 s"],
  [2_000, "2 s"],
  [9_960, "10 s"],
  [59_600, "1 m"],
  [61_000, "1 m 1 s"],
  [7_500_000, "2 h 5 m"],
  [90_000_000, "1 d 1 h"],
])("%i ms is %s", (ms, text) => {
  expect(durationText(ms)).toBe(text);
});

test("times are told from now on", () => {
  const now = 1_000_000_000;
  expect(ago(undefined, now)).toBe("");
  expect(ago(timestampFromMs(now), now)).toBe("just now");
  expect(ago(timestampFromMs(now - 185_000), now)).toBe("3 m ago");
});

test("durations and sizes", () => {
  expect([
    readDuration("90s"),
    readDuration("15m"),
    readDuration("2h"),
    readDuration("1d"),
    readDuration("7"),
    readDuration("300ms"),
  ]).toEqual([90_000, 900_000, 7_200_000, 86_400_000, 7_000, 300]);
  expect(() => readDuration("soon")).toThrow("is not a time");
  expect([sizeText(0), sizeText(1023), sizeText(1536n), sizeText(2 ** 40)]).toEqual([
    "0 B",
    "1023 B",
    "1.5 KiB",
    "1.0 TiB",
  ]);
});
