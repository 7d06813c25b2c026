import fc from "fast-check";
import { expect, test } from "vitest";
import { markScanner } from "./scan-marks.ts";

const TEXT = [
  "plain",
  "::group::Install it",
  "in it",
  "::endgroup::",
  "--- \x1b[32mTests\x1b[0m",
  "--- More",
  "---",
  "-- no",
  " ::group::indented is text",
  "\x1b[0Ksection_start:1560896352:my_section[collapsed=true]\r\x1b[0KA header",
  "section_end:1560896353:my_section\r\x1b[0K",
  "sections are text",
  "::group::",
  "",
].join("\n");

function scan(pieces: Buffer[]) {
  const scanner = markScanner();
  let offset = 0;
  return pieces.flatMap((piece) => {
    const found = scanner.scan(piece, offset);
    offset += piece.length;
    return found;
  });
}

test("every kind of mark is found where its line ends, and nothing else is", () => {
  const after = (line: string) => Buffer.byteLength(TEXT.slice(0, TEXT.indexOf(line) + line.length + 1));
  expect(scan([Buffer.from(TEXT)])).toEqual([
    { offset: after("::group::Install it"), kind: "begin", name: "Install it" },
    { offset: after("::endgroup::"), kind: "end" },
    { offset: after("Tests\x1b[0m"), kind: "begin", name: "Tests" },
    { offset: after("--- More"), kind: "end" },
    { offset: after("--- More"), kind: "begin", name: "More" },
    { offset: after("A header"), kind: "begin", name: "A header" },
    { offset: after("section_end:1560896353:my_section\r\x1b[0K"), kind: "end" },
    { offset: Buffer.byteLength(TEXT), kind: "begin", name: "group" },
  ]);
});

test("where reads end makes no difference", () => {
  const whole = scan([Buffer.from(TEXT)]);
  fc.assert(
    fc.property(fc.array(fc.nat(Buffer.byteLength(TEXT)), { maxLength: 30 }), (cuts) => {
      const at = [0, ...cuts.sort((a, b) => a - b), Buffer.byteLength(TEXT)];
      const bytes = Buffer.from(TEXT);
      const pieces = at.slice(1).map((end, i) => bytes.subarray(at[i], end));
      expect(scan(pieces)).toEqual(whole);
    }),
  );
});

test("any bytes are survived, and a name is short and without control characters", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 300 })), (pieces) => {
      for (const mark of scan(pieces.map((p) => Buffer.from(p)))) expect(["begin", "end"]).toContain(mark.kind);
    }),
  );
  const [mark] = scan([Buffer.from(`::group::\x07${"n".repeat(5000)}\xff\n`, "latin1")]);
  expect(mark).toMatchObject({ kind: "begin", name: "n".repeat(200) });
});
