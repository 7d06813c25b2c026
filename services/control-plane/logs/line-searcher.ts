import type { LineMatcher, Match } from "./line-matcher.ts";
import { stripAnsi } from "./strip-ansi.ts";

/** A line that matches, as the contract tells it. */
export interface Hit {
  line: number;
  offset: number;
  text: string;
  matchStart: number;
  matchEnd: number;
}

export interface SearchStart {
  /** Where to begin. */
  offset: number;
  /** The number of the line that this is in, and where that line starts. */
  line: number;
  lineStart: number;
  maxHits: number;
}

export interface LineSearcher {
  /** Searches the next bytes; `last` when none follow. */
  feed(bytes: Buffer, last: boolean): Hit[];
  /** Everything below was searched. */
  readonly searched: number;
  /** There are as many hits as were asked for. */
  readonly full: boolean;
}

const LF = 10;
// A line longer than this is searched in windows that overlap, so that it is never held whole.
const WINDOW_BYTES = 256 * 1024;
const OVERLAP_BYTES = 16 * 1024;
const SHOWN_CHARACTERS = 400;

/** Searches a log line by line, on text without colours, as its bytes come; holds a window of them. */
export function lineSearcher(match: LineMatcher, start: SearchStart): LineSearcher {
  let carry: Buffer = Buffer.alloc(0);
  let { offset: base, line, lineStart } = start;
  // In the middle of a line: what starts here is not the line's start.
  let within = base > lineStart;
  let lineHit = false;
  let count = 0;
  let hits: Hit[] = [];
  const full = () => count >= start.maxHits;

  /** Whole lines: everything up to the last line end. */
  const searchLines = (bytes: Buffer) => {
    const text = textOf(bytes);
    const find = match(text);
    let [textAt, rawAt, from] = [0, 0, 0];
    for (let found = find(from); found && !full(); found = from <= text.length ? find(from) : undefined) {
      for (let end = text.indexOf("\n", textAt); end >= 0 && end < found.start; end = text.indexOf("\n", textAt)) {
        textAt = end + 1;
        rawAt = bytes.indexOf(LF, rawAt) + 1;
        line++;
      }
      const lineEnd = text.indexOf("\n", textAt) < 0 ? text.length : text.indexOf("\n", textAt);
      keep(text, found, { start: textAt, end: lineEnd }, base + rawAt);
      from = lineEnd + 1;
    }
    if (full()) return cutAfterLine(bytes, rawAt);
    for (let at = bytes.indexOf(LF, rawAt); at >= 0; at = bytes.indexOf(LF, at + 1)) line++;
    base += bytes.length + 1;
    line++;
    lineStart = base;
  };
  const cutAfterLine = (bytes: Buffer, rawAt: number) => {
    const end = bytes.indexOf(LF, rawAt);
    base += (end < 0 ? bytes.length : end) + 1;
    line++;
    lineStart = base;
  };
  /** A part of one line that is too long to be held. */
  const searchWindow = (bytes: Buffer, lastOfLine: boolean) => {
    if (lineHit) return;
    const text = textOf(bytes);
    const find = match(text);
    const again = text.length - OVERLAP_BYTES;
    // `^` holds at a line's start alone, and what reaches the end may go on: the next window sees that again.
    const found = find(within ? 1 : 0);
    if (!found || (!lastOfLine && found.end === text.length && found.start >= again)) return;
    keep(text, found, { start: 0, end: text.length }, lineStart);
    lineHit = true;
  };
  const keep = (text: string, found: Match, bounds: Match, offset: number) => {
    hits.push({ line, offset, ...shorten(text, found, bounds) });
    count++;
  };
  const endLine = (length: number) => {
    base += length;
    line++;
    lineStart = base;
    within = false;
    lineHit = false;
  };

  return {
    get searched() {
      return base;
    },
    get full() {
      return full();
    },
    feed(bytes, last) {
      hits = [];
      let rest = carry.length > 0 ? Buffer.concat([carry, bytes]) : bytes;
      if (within && rest.includes(LF)) {
        const end = rest.indexOf(LF);
        searchWindow(rest.subarray(0, end), true);
        endLine(end + 1);
        rest = rest.subarray(end + 1);
      }
      const lastEnd = within ? -1 : rest.lastIndexOf(LF);
      if (lastEnd >= 0 && !full()) {
        searchLines(rest.subarray(0, lastEnd));
        rest = rest.subarray(lastEnd + 1);
      }
      while (rest.length > WINDOW_BYTES && !full()) {
        searchWindow(rest.subarray(0, WINDOW_BYTES), false);
        within = true;
        const cut = characterStart(rest, WINDOW_BYTES - OVERLAP_BYTES);
        base += cut;
        rest = rest.subarray(cut);
      }
      if (last && rest.length > 0 && !full()) {
        searchWindow(rest, true);
        base += rest.length;
        rest = rest.subarray(rest.length);
      }
      // A copy, so that a large piece is not held by its tail.
      carry = Buffer.from(rest);
      return hits;
    },
  };
}

function textOf(bytes: Buffer): string {
  const text = stripAnsi(bytes.toString("utf8"));
  return text.includes("\r") ? text.replace(/\r(?=\n|$)/g, "") : text;
}

/** The first place at or after this one where a character of UTF-8 starts. */
function characterStart(bytes: Buffer, at: number): number {
  for (let i = at; i < at + 4; i++) if (((bytes[i] ?? 0) & 0xc0) !== 0x80) return i;
  return at;
}

function shorten(text: string, found: Match, line: Match): Pick<Hit, "text" | "matchStart" | "matchEnd"> {
  const spare = Math.max(SHOWN_CHARACTERS - (found.end - found.start), 0);
  let start = Math.max(Math.min(found.start - (spare >> 1), line.end - SHOWN_CHARACTERS), line.start);
  if (start < found.start && isLow(text.charCodeAt(start))) start++;
  let end = Math.min(start + SHOWN_CHARACTERS, line.end);
  if (end < line.end && isLow(text.charCodeAt(end))) end--;
  return {
    text: text.slice(start, end),
    matchStart: found.start - start,
    matchEnd: Math.min(found.end, end) - start,
  };
}

const isLow = (unit: number) => unit >= 0xdc00 && unit <= 0xdfff;
