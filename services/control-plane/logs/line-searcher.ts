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

const LF = 10;
// A line longer than this is searched in windows that overlap, so that it is never held whole.
const WINDOW_BYTES = 256 * 1024;
const OVERLAP_BYTES = 16 * 1024;
const SHOWN_CHARACTERS = 400;

/** Searches a log line by line, on text without colours, as its bytes come; holds a window of them. */
export class LineSearcher {
  readonly #match: LineMatcher;
  readonly #maxHits: number;
  #carry: Buffer = Buffer.alloc(0);
  /** Where the carried bytes start. */
  #base: number;
  #line: number;
  #lineStart: number;
  /** In the middle of a line: what starts at the base is not the line's start. */
  #within: boolean;
  #lineHit = false;
  #count = 0;
  #hits: Hit[] = [];

  constructor(match: LineMatcher, start: SearchStart) {
    this.#match = match;
    this.#maxHits = start.maxHits;
    this.#base = start.offset;
    this.#line = start.line;
    this.#lineStart = start.lineStart;
    this.#within = start.offset > start.lineStart;
  }

  /** Everything below was searched. */
  get searched(): number {
    return this.#base;
  }

  /** There are as many hits as were asked for. */
  get full(): boolean {
    return this.#count >= this.#maxHits;
  }

  /** Searches the next bytes; `last` when none follow. */
  feed(bytes: Buffer, last: boolean): Hit[] {
    this.#hits = [];
    let rest = this.#carry.length > 0 ? Buffer.concat([this.#carry, bytes]) : bytes;
    rest = this.#endLongLine(rest);
    const lastEnd = this.#within ? -1 : rest.lastIndexOf(LF);
    if (lastEnd >= 0 && !this.full) {
      this.#searchLines(rest.subarray(0, lastEnd));
      rest = rest.subarray(lastEnd + 1);
    }
    while (rest.length > WINDOW_BYTES && !this.full) rest = this.#searchLongLine(rest);
    if (last && rest.length > 0 && !this.full) {
      this.#searchWindow(rest, true);
      this.#base += rest.length;
      rest = rest.subarray(rest.length);
    }
    // A copy, so that a large piece is not held by its tail.
    this.#carry = Buffer.from(rest);
    return this.#hits;
  }

  /** Whole lines, without the last one's end. */
  #searchLines(bytes: Buffer): void {
    const text = textOf(bytes);
    const find = this.#match(text);
    let [textAt, rawAt, from] = [0, 0, 0];
    for (let found = find(from); found && !this.full; found = from <= text.length ? find(from) : undefined) {
      for (let end = text.indexOf("\n", textAt); end >= 0 && end < found.start; end = text.indexOf("\n", textAt)) {
        textAt = end + 1;
        rawAt = bytes.indexOf(LF, rawAt) + 1;
        this.#line++;
      }
      const end = text.indexOf("\n", textAt);
      const lineEnd = end < 0 ? text.length : end;
      this.#keep(text, found, { start: textAt, end: lineEnd }, this.#base + rawAt);
      from = lineEnd + 1;
    }
    this.#pass(bytes, rawAt);
  }

  /** Goes behind the lines that were searched: all of them, or those up to the last hit when there are enough. */
  #pass(bytes: Buffer, rawAt: number): void {
    let end = bytes.indexOf(LF, rawAt);
    for (this.#line++; end >= 0 && !this.full; end = bytes.indexOf(LF, end + 1)) this.#line++;
    this.#base += (end < 0 ? bytes.length : end) + 1;
    this.#lineStart = this.#base;
  }

  /** The last part of a line that was too long to be held, when its end has come. */
  #endLongLine(bytes: Buffer): Buffer {
    const end = this.#within ? bytes.indexOf(LF) : -1;
    if (end < 0) return bytes;
    this.#searchWindow(bytes.subarray(0, end), true);
    this.#base += end + 1;
    this.#line++;
    this.#lineStart = this.#base;
    this.#within = false;
    this.#lineHit = false;
    return bytes.subarray(end + 1);
  }

  /** The next window of a line that is too long to be held. */
  #searchLongLine(bytes: Buffer): Buffer {
    this.#searchWindow(bytes.subarray(0, WINDOW_BYTES), false);
    this.#within = true;
    const cut = characterStart(bytes, WINDOW_BYTES - OVERLAP_BYTES);
    this.#base += cut;
    return bytes.subarray(cut);
  }

  #searchWindow(bytes: Buffer, lastOfLine: boolean): void {
    if (this.#lineHit) return;
    const text = textOf(bytes);
    // `^` holds at a line's start alone, and what reaches the end may go on: the next window sees that again.
    const found = this.#match(text)(this.#within ? 1 : 0);
    const seenAgain = text.length - OVERLAP_BYTES;
    if (!found || (!lastOfLine && found.end === text.length && found.start >= seenAgain)) return;
    this.#keep(text, found, { start: 0, end: text.length }, this.#lineStart);
    this.#lineHit = true;
  }

  #keep(text: string, found: Match, bounds: Match, offset: number): void {
    this.#hits.push({ line: this.#line, offset, ...shorten(text, found, bounds) });
    this.#count++;
  }
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
