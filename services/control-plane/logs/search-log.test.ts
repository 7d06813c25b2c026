import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { SearchLogRequestSchema } from "@ritmo/contract/ritmo/log/v1/log_pb.js";
import { expect, test } from "vitest";
import { countLineEnds } from "./count-lines.ts";
import type { LogPiece, LogSource } from "./log-source.ts";
import { searchLog } from "./search-log.ts";
import { searchPool } from "./search-pool.ts";

type Look = MessageInitShape<typeof SearchLogRequestSchema>;

const pool = searchPool();

/** A log in memory, in pieces of a size. */
function sourceOf(text: string | Buffer, pieceBytes = 512 * 1024): LogSource {
  const bytes = Buffer.from(text as Buffer);
  const pieces: LogPiece[] = [];
  let linesBefore = 0;
  for (let start = 0; start < bytes.length; start += pieceBytes) {
    const data = bytes.subarray(start, start + pieceBytes);
    const lines = countLineEnds(data);
    pieces.push({ start, rawLength: data.length, lines, linesBefore, codec: 1, data, marks: Buffer.alloc(0) });
    linesBefore += lines;
  }
  return {
    bytes: bytes.length,
    lineEnds: linesBefore,
    async *pieces(from) {
      yield* pieces.filter((piece) => piece.start + piece.rawLength > from);
    },
    async pieceOfLineEnd(n) {
      return pieces.find((piece) => piece.linesBefore + piece.lines >= n)?.start ?? 0;
    },
    async *marked() {},
  };
}

async function search(source: LogSource, look: Look, limitMs?: number) {
  const request = create(SearchLogRequestSchema, look);
  const messages = await Array.fromAsync(
    searchLog(pool, source, request, { signal: new AbortController().signal, ...(limitMs ? { limitMs } : {}) }),
  );
  return { messages, hits: messages.flatMap((m) => m.hits ?? []), last: messages.at(-1) };
}

const regex = (value: string) => ({ pattern: { case: "regex" as const, value } });
const text = (value: string) => ({ pattern: { case: "text" as const, value } });

test("a million lines are searched to the end, with progress on the way", async () => {
  const lines = Array.from({ length: 1_000_000 }, (_, i) => `${i} compiling module${i % 1000}.ts`);
  lines[777_777] = "ERROR: the only one";
  const source = sourceOf(lines.join("\n"));
  const { messages, hits, last } = await search(source, text("ERROR"));
  expect(hits).toMatchObject([{ line: 777_778n, text: "ERROR: the only one", matchStart: 0, matchEnd: 5 }]);
  expect(last).toMatchObject({ end: true, searchedBytes: BigInt(source.bytes), totalBytes: BigInt(source.bytes) });
  expect(messages.length).toBeGreaterThan(2);
  expect((await search(source, regex("^ERR[A-Z]+: (the|a) only"))).hits).toMatchObject([{ line: 777_778n }]);
});

test("hostile expressions end, or are refused", async () => {
  const nasty = sourceOf(`${"a".repeat(300_000)}!\n${"a a a ".repeat(20_000)}\n`, 65_536);
  for (const value of [
    "(a+)+$",
    "(a|a)*b",
    "(a*)*c",
    "^(([a-z])+.)+[A-Z]([a-z])+$",
    "(x+x+)+y",
    "(.*)(.*)(.*)(.*)(.*)z",
  ]) {
    const { last } = await search(nasty, regex(value));
    expect(last).toMatchObject({ end: true });
  }
  for (const value of [
    "(a{1000}){1000}",
    "((a{100}){100}){100}",
    "a{1001}",
    "(",
    "[[:nope:]]",
    "(?<=a)b",
    "\\1",
    "*",
  ]) {
    await expect(search(nasty, regex(value))).rejects.toMatchObject({
      code: "invalid_argument",
      reason: "PATTERN_INVALID",
    });
  }
});

test("a search that takes too long says how far it came, and another one runs beside it", async () => {
  const whole = sourceOf("one two three\n".repeat(20_000), 65_536);
  // A store that says nothing after the second piece.
  const stuck: LogSource = {
    ...whole,
    async *pieces(from) {
      let count = 0;
      for await (const piece of whole.pieces(from)) {
        if (++count > 2) await new Promise(() => {});
        yield piece;
      }
    },
  };
  const long = search(stuck, text("nowhere"), 700);
  const quick = await search(sourceOf("one\ntwo\n"), text("two"));
  expect(quick.hits).toHaveLength(1);
  const refusal = await long.then(
    () => undefined,
    (reason) => reason,
  );
  expect(refusal).toMatchObject({ code: "resource_exhausted", reason: "SEARCH_TOO_LONG" });
  const searched = Number(refusal.details.metadata.searched_bytes);
  // Whole lines of what came.
  expect(searched).toBe(Math.floor((2 * 65_536) / 14) * 14);
  expect((await search(whole, { ...text("two"), fromOffset: BigInt(searched), maxHits: 1 })).hits).toMatchObject([
    { line: BigInt(searched / 14 + 1) },
  ]);
});

test("a search goes on from where an earlier one stopped, with the right line numbers", async () => {
  const source = sourceOf(Array.from({ length: 5_000 }, (_, i) => `line ${i + 1}\n`).join(""), 1_000);
  const first = await search(source, { ...text("line"), maxHits: 1_200 });
  expect(first.hits).toHaveLength(1_200);
  const second = await search(source, { ...text("line"), maxHits: 2, fromOffset: first.last?.searchedBytes as bigint });
  expect(second.hits).toMatchObject([
    { line: 1_201n, text: "line 1201" },
    { line: 1_202n, text: "line 1202" },
  ]);
});

test("what can't be searched for is refused", async () => {
  const source = sourceOf("x\n");
  const code = async (look: Look) => {
    const reason = await search(source, look).catch((caught) => caught);
    return [reason.code, reason.reason];
  };
  expect(await code({})).toEqual(["invalid_argument", "FIELD_INVALID"]);
  expect(await code(text(""))).toEqual(["invalid_argument", "FIELD_INVALID"]);
  expect(await code(text("x".repeat(1_001)))).toEqual(["invalid_argument", "PATTERN_INVALID"]);
  expect(await code({ ...text("x"), maxHits: 10_001 })).toEqual(["invalid_argument", "FIELD_INVALID"]);
  expect(await code({ ...text("x"), fromOffset: 3n })).toEqual(["out_of_range", "RANGE_PAST_END"]);
  expect((await search(source, { ...text("x"), fromOffset: 2n })).last).toMatchObject({ end: true });
});
