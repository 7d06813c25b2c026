/* biome-ignore-all lint/suspicious/noControlCharactersInRegex: control characters are what this file is about. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { readLogText } from "./log-text.ts";

function whole(text: string | Uint8Array, colours: boolean): string {
  const reader = readLogText({ colours });
  return reader.take(Buffer.from(text)) + reader.end();
}

test.each([
  ["plain\ttext\n", "plain\ttext\n"],
  ["\u001b[31mred\u001b[0m\n", "red\n"],
  ["\u001b[2J\u001b[1;1Hclear\n", "clear\n"],
  ["\u001b]0;title\u0007\u001b]8;;http://x\u001b\\link\n", "link\n"],
  ["\u001bPdevice\u001b\\\u001bcreset\n", "reset\n"],
  ["50%\r100%\r\n", "50%\n100%\n"],
  ["bell\u0007 nul\u0000 del\u007f c1\u009b31m\n", "bell␇ nul␀ del␡ c1\\u{9b}31m\n"],
  ["never ended \u001b]0;title", "never ended ␛]0;title"],
  ["flip\u202e\n", "flip\\u{202e}\n"],
])("without colours %j shows as %j", (raw, shown) => {
  expect(whole(raw, false)).toBe(shown);
});

test("with colours only colours stay", () => {
  expect(whole("\u001b[1;31mred\u001b[0m\u001b[2K\u001b[?25l\u001b[>4m\n", true)).toBe("\u001b[1;31mred\u001b[0m\n");
});

test("bytes that are no UTF-8 become the replacement character, and a split one does not", () => {
  expect(whole(Uint8Array.of(0x61, 0xff, 0x62, 10), false)).toBe("a\ufffdb\n");
  const reader = readLogText({ colours: false });
  const euro = Buffer.from("€");
  expect(reader.take(euro.subarray(0, 1)) + reader.take(euro.subarray(1)) + reader.end()).toBe("€");
});

const PIECES = fc.array(
  fc.oneof(
    fc.string(),
    fc.constantFrom("\u001b[", "31", "m", "\u001b", "]0;", "\u0007", "\r", "\n", "\u001b\\", "\u009b", "é"),
  ),
  { maxLength: 40 },
);

test("whatever comes, in whatever pieces: the same text, and nothing that moves a cursor", () => {
  fc.assert(
    fc.property(PIECES, fc.integer({ min: 1, max: 7 }), fc.boolean(), (pieces, size, colours) => {
      const bytes = Buffer.from(pieces.join(""));
      const reader = readLogText({ colours });
      let text = "";
      for (let at = 0; at < bytes.length; at += size) text += reader.take(bytes.subarray(at, at + size));
      text += reader.end();
      expect(text.replace(/\u001b\[[0-9:;]*m/g, colours ? "" : "$&")).not.toMatch(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/);
      expect(text).toBe(whole(bytes, colours));
    }),
  );
});
