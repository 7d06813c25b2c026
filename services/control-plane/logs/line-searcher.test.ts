import { expect, test } from "vitest";
import { compilePattern, type SearchPattern } from "./line-matcher.ts";
import { type Hit, LineSearcher } from "./line-searcher.ts";

type Look = Partial<SearchPattern> & { pattern: string; maxHits?: number; from?: number };

/** Searches a text in pieces of a size. */
function search(text: string | Buffer, look: Look, pieceBytes = 1 << 20): { hits: Hit[]; searched: number } {
  const bytes = Buffer.from(text as Buffer);
  const pattern = { kind: "regex", ignoreCase: false, ...look } as SearchPattern;
  const from = look.from ?? 0;
  const before = bytes.subarray(0, from);
  const searcher = new LineSearcher(compilePattern(pattern), {
    offset: from,
    line: before.filter((byte) => byte === 10).length + 1,
    lineStart: before.lastIndexOf(10) + 1,
    maxHits: look.maxHits ?? 1_000,
  });
  const hits: Hit[] = [];
  for (let at = from; at < bytes.length && !searcher.full; at += pieceBytes) {
    hits.push(...searcher.feed(bytes.subarray(at, at + pieceBytes), at + pieceBytes >= bytes.length));
  }
  return { hits, searched: searcher.searched };
}

const found = (text: string | Buffer, look: Look, pieceBytes?: number) =>
  search(text, look, pieceBytes).hits.map((hit) => [hit.line, hit.text.slice(hit.matchStart, hit.matchEnd)]);

const LOG = "start\nan error here\r\n\nERROR: two\nthird \u001b[31merr\u001b[0mor\nlast error";

test("lines that match are told with number, offset, text and place, however the bytes are cut", () => {
  for (const size of [1, 3, 7, 1 << 20]) {
    expect(found(LOG, { kind: "text", pattern: "error" }, size)).toEqual([
      [2, "error"],
      [5, "error"],
      [6, "error"],
    ]);
    expect(found(LOG, { kind: "text", pattern: "ErRor", ignoreCase: true }, size).map(([line]) => line)).toEqual([
      2, 4, 5, 6,
    ]);
    expect(found(LOG, { pattern: "^[a-z]+ err(or)?" }, size)).toEqual([
      [2, "an error"],
      [5, "third error"],
      [6, "last error"],
    ]);
    expect(found(LOG, { pattern: "here$" }, size)).toEqual([[2, "here"]]);
    expect(found(LOG, { pattern: "^$" }, size)).toEqual([[3, ""]]);
    expect(found(LOG, { pattern: "\\Astart" }, size)).toEqual([[1, "start"]]);
    expect(found(LOG, { pattern: "\\Alast.*\\z" }, size)).toEqual([[6, "last error"]]);
  }
  const [hit] = search(LOG, { kind: "text", pattern: "two" }).hits;
  expect(hit).toEqual({ line: 4, offset: LOG.indexOf("ERROR: two"), text: "ERROR: two", matchStart: 7, matchEnd: 10 });
});

test("no match reaches over a line end, and one that would hides none behind it", () => {
  expect(found("a\nb\na b\n", { pattern: "a\\s+b" })).toEqual([[3, "a b"]]);
  expect(found("x\ny\nxy\n", { pattern: "x[^z]*y" })).toEqual([[3, "xy"]]);
  expect(found("a\n\nb\n", { pattern: "\\s" })).toEqual([]);
  expect(found("x a\nb c d\n", { pattern: "a\\s+b|c" })).toEqual([[2, "c"]]);
  expect(found("one\ntwo\n", { pattern: "(?s)one.*two|tw" })).toEqual([[2, "tw"]]);
});

test("the search stops at enough hits and goes on from where it stopped", () => {
  const text = Array.from({ length: 100 }, (_, i) => `hit ${i}\n`).join("");
  const first = search(text, { kind: "text", pattern: "hit", maxHits: 30 });
  expect(first.hits).toHaveLength(30);
  expect(first.searched).toBe(text.indexOf("hit 30"));
  const second = search(text, { kind: "text", pattern: "hit", from: first.searched });
  expect(second.hits.map((hit) => hit.text)).toEqual(Array.from({ length: 70 }, (_, i) => `hit ${i + 30}`));
  expect(second.hits[0]).toMatchObject({ line: 31, offset: text.indexOf("hit 30") });
  expect(second.searched).toBe(text.length);
});

test("a line that is never held whole is found once, at its start", () => {
  const long = `${"x".repeat(900_000)}needle${"y".repeat(900_000)}needle\nneedle again\n`;
  for (const look of [
    { kind: "text", pattern: "needle" },
    { pattern: "need[l]e" },
    { pattern: "needle.*$" },
    { pattern: "x+needle" },
  ] as Look[]) {
    const { hits } = search(`first\n${long}`, look, 65_536);
    expect(hits.map(({ line, offset }) => [line, offset]).slice(0, 1)).toEqual([[2, 6]]);
    expect(hits.filter((hit) => hit.line === 2)).toHaveLength(1);
    expect((hits[0] as Hit).text.length).toBeLessThanOrEqual(400);
  }
  expect(found(long, { pattern: "^needle" }, 65_536)).toEqual([[2, "needle"]]);
  expect(found(long, { pattern: "^y" }, 65_536)).toEqual([]);
  expect(found(long, { pattern: "x$" }, 65_536)).toEqual([]);
  expect(found(long, { pattern: "needle$" }, 65_536).map(([line]) => line)).toEqual([1]);
  // At every place where a window could be cut.
  for (let at = 240_000; at < 280_000; at += 1_009) {
    expect(found(`${"x".repeat(at)}needle${"y".repeat(300_000)}`, { kind: "text", pattern: "needle" }, 65_536)).toEqual(
      [[1, "needle"]],
    );
  }
});

test("what is shown of a line holds the match, whole characters and at most 400 of them", () => {
  const line = `${"ä😀".repeat(500)}HERE${"😀".repeat(500)}`;
  const [hit] = search(line, { kind: "text", pattern: "HERE" }).hits as [Hit];
  expect(hit.text.length).toBeLessThanOrEqual(400);
  expect(hit.text.isWellFormed()).toBe(true);
  expect(hit.text.slice(hit.matchStart, hit.matchEnd)).toBe("HERE");
  const [wide] = search("z".repeat(1_000), { pattern: "z+" }).hits as [Hit];
  expect([wide.text.length, wide.matchStart, wide.matchEnd]).toEqual([400, 0, 400]);
});

test("bytes that are no text are searched all the same", () => {
  const bytes = Buffer.concat([Buffer.from([0xff, 0xfe, 0, 10]), Buffer.from("a\0needle\n"), Buffer.from([0xc3, 10])]);
  expect(found(bytes, { kind: "text", pattern: "needle" })).toEqual([[2, "needle"]]);
  // Lower case of İ is two characters; places must not shift.
  const turkish = "İİİ needle\n";
  const [hit] = search(turkish, { kind: "text", pattern: "NEEDLE", ignoreCase: true }).hits as [Hit];
  expect(hit.text.slice(hit.matchStart, hit.matchEnd)).toBe("needle");
});

test("sequences of a terminal are not searched and hide nothing", () => {
  const line =
    "\u001b[1;31mFA\u001b[0mIL \u001b]8;;http://x\u0007link\u001b]8;;\u0007 \u001b(Bend \u001b]0;unterminated\nnext\n";
  expect(found(line, { kind: "text", pattern: "FAIL link end" })).toEqual([[1, "FAIL link end"]]);
  expect(found(line, { kind: "text", pattern: "http" })).toEqual([]);
  expect(found(line, { kind: "text", pattern: "next" })).toEqual([[2, "next"]]);
});
