import { expect, test } from "vitest";
import { isBefore, readCursor, writeCursor } from "./position.ts";

test("a cursor comes back as its position", () => {
  for (const position of [
    { life: 0n, xid: 0n, seq: 0 },
    { life: 2n ** 63n + 7n, xid: 740n, seq: 12 },
    { life: 2n ** 64n - 1n, xid: 2n ** 64n - 1n, seq: Number.MAX_SAFE_INTEGER },
  ])
    expect(readCursor(writeCursor(position))).toEqual(position);
  expect(readCursor("")).toBeUndefined();
});

test.each([
  "x",
  "0",
  "AAAA",
  "\0",
  "\ud800",
  `${writeCursor({ life: 1n, xid: 1n, seq: 1 })}A`,
  writeCursor({ life: 1n, xid: 1n, seq: 1 }).slice(1),
  `${writeCursor({ life: 1n, xid: 1n, seq: 1 })}=`,
  Buffer.alloc(25).toString("base64url"),
  Buffer.concat([Buffer.from([2]), Buffer.alloc(24, 0xff)]).toString("base64url"),
  "A".repeat(1 << 20),
])("case %#: what Watch never gave out is CURSOR_INVALID", (cursor) => {
  expect(() => readCursor(cursor)).toThrow(expect.objectContaining({ reason: "CURSOR_INVALID" }));
});

test("positions are ordered by transaction, then by number", () => {
  expect(isBefore({ xid: 1n, seq: 9 }, { xid: 2n, seq: 1 })).toBe(true);
  expect(isBefore({ xid: 2n, seq: 1 }, { xid: 2n, seq: 2 })).toBe(true);
  expect(isBefore({ xid: 2n, seq: 2 }, { xid: 2n, seq: 2 })).toBe(false);
});
