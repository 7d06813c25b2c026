import fc from "fast-check";
import { expect, test } from "vitest";
import { boundaryScanner, boundaryWords } from "./boundaries.ts";
import { demultiplexer } from "./demultiplex.ts";

function cutAt(bytes: Buffer, cuts: number[]): Buffer[] {
  const places = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  return [...places, bytes.length].map((end, index) => bytes.subarray(places[index - 1] ?? 0, end));
}

test("frames give their payload, wherever the stream is cut", () => {
  const frame = fc.tuple(fc.constantFrom(0, 1, 2), fc.uint8Array({ maxLength: 40 }));
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 10 }), fc.array(fc.nat()), (frames, cuts) => {
      const stream = frames.map(([kind, bytes]) => {
        const head = Buffer.from([kind, 0, 0, 0, 0, 0, 0, 0]);
        head.writeUInt32BE(bytes.length, 4);
        return Buffer.concat([head, bytes]);
      });
      const payloadOf = demultiplexer();
      const got = Buffer.concat(cutAt(Buffer.concat(stream), cuts).flatMap(payloadOf));
      expect(got.equals(Buffer.concat(frames.map(([, bytes]) => bytes)))).toBe(true);
    }),
  );
});

test("what is no frame is refused", () => {
  expect(() => demultiplexer()(Buffer.from("HTTP/1.1 500"))).toThrow("no frames");
});

test("boundaries are found at their byte and leave nothing behind, wherever the stream is cut", () => {
  const words = boundaryWords("key", 4);
  // Beginnings of words are what a scanner may trip over.
  const text = fc.oneof(
    fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
    fc
      .tuple(fc.constantFrom(...words), fc.nat({ max: 31 }))
      .map(([word, length]) => Buffer.from(word.slice(0, length))),
  );
  fc.assert(
    fc.property(fc.tuple(text, text, text, text), fc.array(fc.nat()), (texts, cuts) => {
      const stream = Buffer.concat(words.flatMap((word, index) => [Buffer.from(word), texts[index] as Buffer]));
      const scanner = boundaryScanner(words);
      const pieces = cutAt(stream, cuts).flatMap((piece) => scanner.scan(piece));
      const bytes = [...pieces.map((one) => (one.kind === "bytes" ? one.bytes : Buffer.alloc(0))), scanner.rest()];
      expect(Buffer.concat(bytes).equals(Buffer.concat(texts))).toBe(true);
      expect(pieces.flatMap((one) => (one.kind === "boundary" ? [one.number] : []))).toEqual([0, 1, 2, 3]);
    }),
  );
});

test("a word out of its turn, or said twice, is text like any other", () => {
  const [zero = "", one = "", two = ""] = boundaryWords("key", 3);
  const scanner = boundaryScanner([zero, one, two]);
  const pieces = scanner.scan(Buffer.from(`${two}${zero}${zero}${one}`));
  expect(pieces.map((piece) => (piece.kind === "bytes" ? piece.bytes.toString() : piece.number))).toEqual([
    two,
    0,
    zero,
    1,
  ]);
  expect(boundaryWords("another", 1)).not.toEqual([zero]);
});
