import { expect, test } from "vitest";
import { crc32c } from "./crc32c.ts";

test("the check value and the test vectors of RFC 3720 B.4", () => {
  expect(crc32c(Buffer.from("123456789"))).toBe(0xe3069283);
  expect(crc32c(Buffer.alloc(32))).toBe(0x8a9136aa);
  expect(crc32c(Buffer.alloc(32, 0xff))).toBe(0x62a8ab43);
  expect(crc32c(Buffer.from(Array.from({ length: 32 }, (_, i) => i)))).toBe(0x46dd794e);
});

test("going on from a checksum equals doing it at once, at every split", () => {
  const bytes = Buffer.from("The quick brown fox jumps over the lazy dog");
  for (let i = 0; i <= bytes.length; i++)
    expect(crc32c(bytes.subarray(i), crc32c(bytes.subarray(0, i)))).toBe(crc32c(bytes));
});
