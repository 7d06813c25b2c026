import { expect, test } from "vitest";
import { type DatabaseLife, decideLife } from "./decide-life.ts";

const NOW: DatabaseLife = { installation: "i", id: "a", number: 3, beats: 100, moved: false };
const kind = (...args: Parameters<typeof decideLife>) => decideLife(...args).kind;

test("a database that goes on is the same, whoever looks at it", () => {
  expect(kind(NOW, undefined)).toBe("same");
  expect(kind(NOW, NOW)).toBe("same");
  // The store's mark is a little behind and knows no id.
  expect(kind(NOW, { installation: "i", number: 3, beats: 40 })).toBe("same");
  // Another replica has begun another life.
  expect(kind({ ...NOW, id: "b", number: 4, beats: 5 }, NOW)).toBe("same");
});

test("a database whose time was turned back was restored, and so was one that is elsewhere", () => {
  expect(kind({ ...NOW, beats: 99 }, NOW)).toBe("restored");
  expect(kind({ ...NOW, beats: 99 }, { installation: "i", number: 3, beats: 100 })).toBe("restored");
  expect(kind({ ...NOW, number: 2, beats: 500 }, NOW)).toBe("restored");
  expect(kind({ ...NOW, id: "other", beats: 500 }, NOW)).toBe("restored");
  expect(kind({ ...NOW, moved: true }, undefined)).toBe("restored");
  expect(kind({ ...NOW, moved: true }, NOW)).toBe("restored");
});

test("a store of another Ritmo is foreign before anything else", () => {
  expect(kind({ ...NOW, moved: true }, { ...NOW, installation: "other" })).toBe("foreign");
});
