import { Code } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { type BodyLimits, guardBody } from "./guard-body.ts";

const limits: BodyLimits = { maxBytes: 1000, enveloped: true, gzip: false, declaredBytes: 0, arriveWithinMs: 60_000 };

test("one-byte frames become one piece a message", async () => {
  const message = envelope(0, Buffer.alloc(1000, 7));
  const pieces = await all(guardBody(oneByOne(message), limits));
  expect(pieces).toHaveLength(1);
  expect(Buffer.compare(pieces[0] ?? Buffer.alloc(0), message)).toBe(0);
});

test("bare messages too, however they are cut", async () => {
  const body = Buffer.from("x".repeat(999));
  const pieces = await all(guardBody(oneByOne(body), { ...limits, enveloped: false }));
  expect(pieces.map(String)).toEqual([String(body)]);
});

test("messages in one piece come out one by one, empty ones too", async () => {
  const body = Buffer.concat([
    envelope(0, Buffer.alloc(0)),
    envelope(0, Buffer.from("ab")),
    envelope(0, Buffer.alloc(0)),
  ]);
  const pieces = await all(guardBody(from([body]), limits));
  expect(pieces.map((piece) => piece.length)).toEqual([5, 7, 5]);
});

test("what is cut off in the middle is handed on for the decoder to refuse", async () => {
  const pieces = await all(guardBody(from([envelope(0, Buffer.from("abcdef")).subarray(0, 8)]), limits));
  expect(pieces.map((piece) => piece.length)).toEqual([8]);
  expect(await all(guardBody(from([Buffer.from([0, 0])]), limits))).toHaveLength(1);
});

test.each([
  ["a declared length over the limit, before its bytes", [0, 0xff, 0xff, 0xff, 0xff], Code.ResourceExhausted],
  ["one byte over the limit", [0, 0, 0, 0x03, 0xe9], Code.ResourceExhausted],
  ["compressed without an encoding", [1, 0, 0, 0, 1], Code.InvalidArgument],
  ["unknown flags", [4, 0, 0, 0, 1], Code.InvalidArgument],
  ["an end-of-stream from a caller", [2, 0, 0, 0, 2], Code.InvalidArgument],
])("refused: %s", async (_, head, code) => {
  // Nothing follows: who waited for the body would wait for ever.
  async function* body() {
    yield Uint8Array.from(head);
    await new Promise(() => {});
  }
  await expect(all(guardBody(body(), limits))).rejects.toMatchObject({ code });
});

test("the limit itself passes, and a bare message over it is refused", async () => {
  expect(await all(guardBody(from([envelope(0, Buffer.alloc(1000))]), limits))).toHaveLength(1);
  const bare = { ...limits, enveloped: false };
  expect(await all(guardBody(from([Buffer.alloc(500), Buffer.alloc(500)]), bare))).toHaveLength(1);
  const over = all(guardBody(from([Buffer.alloc(500), Buffer.alloc(501)]), bare));
  await expect(over).rejects.toMatchObject({ code: Code.ResourceExhausted });
});

test("a body that does not end in time is refused, though pieces keep coming", async () => {
  async function* drip() {
    for (;;) {
      yield Uint8Array.from([0]);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
  const late = all(guardBody(drip(), { ...limits, enveloped: false, arriveWithinMs: 40 }));
  await expect(late).rejects.toMatchObject({ code: Code.DeadlineExceeded });
});

function envelope(flags: number, data: Buffer): Buffer {
  const head = Buffer.from([flags, 0, 0, 0, 0]);
  head.writeUInt32BE(data.length, 1);
  return Buffer.concat([head, data]);
}

async function* from(pieces: Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* pieces;
}

async function* oneByOne(body: Buffer): AsyncGenerator<Uint8Array> {
  for (const byte of body) yield Uint8Array.from([byte]);
}

async function all(pieces: AsyncIterable<Uint8Array>): Promise<Buffer[]> {
  const gathered: Buffer[] = [];
  for await (const piece of pieces) gathered.push(Buffer.from(piece));
  return gathered;
}
