import { RE2JS } from "re2js";

/** What to look for: a text, or an expression in RE2's syntax. */
export interface SearchPattern {
  kind: "text" | "regex";
  pattern: string;
  ignoreCase: boolean;
}

export interface Match {
  start: number;
  end: number;
}

/** Looks in lines joined by line ends: the first match from a place on that lies within one line. */
export type LineMatcher = (lines: string) => (from: number) => Match | undefined;

// Of these an expression means something else in joined lines than in each line alone.
const NEEDS_LINE_ALONE = /\\[AzZ]|\(\?[a-zA-Z]*-[a-zA-Z]*m/;

/** Makes the matcher of a pattern, which takes time in proportion to the text. Throws RE2's own error for a bad one. */
export function compilePattern({ kind, pattern, ignoreCase }: SearchPattern): LineMatcher {
  if (kind === "text" && !ignoreCase) return findText(pattern);
  if (kind === "text" && isAscii(pattern)) return findLowered(lower(pattern));
  const source = kind === "text" ? RE2JS.quote(pattern) : pattern;
  const flags = ignoreCase ? RE2JS.CASE_INSENSITIVE : 0;
  const alone = RE2JS.compile(source, flags);
  return NEEDS_LINE_ALONE.test(source)
    ? findByLine(alone)
    : findInBlock(RE2JS.compile(source, flags | RE2JS.MULTILINE), alone);
}

function findText(needle: string): LineMatcher {
  return (lines) => (from) => {
    const start = lines.indexOf(needle, from);
    return start < 0 ? undefined : { start, end: start + needle.length };
  };
}

/** Lower case keeps every place where nothing grows by it; İ grows, and then RE2 looks. */
function findLowered(needle: string): LineMatcher {
  const slow = findInBlock(...both(RE2JS.quote(needle)));
  const fast = findText(needle);
  return (lines) => {
    const lowered = lower(lines);
    return lowered.length === lines.length ? fast(lowered) : slow(lines);
  };
}

function both(source: string): [RE2JS, RE2JS] {
  const flags = RE2JS.CASE_INSENSITIVE;
  return [RE2JS.compile(source, flags | RE2JS.MULTILINE), RE2JS.compile(source, flags)];
}

/**
 * Looks in all lines at once: whatever matches in a line alone begins a match here too. One that reaches over a line
 * end is looked at again in its line alone.
 */
function findInBlock(block: RE2JS, alone: RE2JS): LineMatcher {
  return (lines) => {
    const matcher = block.matcher(lines);
    return (from) => {
      for (let at = from; at <= lines.length && matcher.find(at); ) {
        const [start, end] = [matcher.start(), matcher.end()];
        const lineEnd = endOfLine(lines, start);
        if (end <= lineEnd) return { start, end };
        const lineStart = start === 0 ? 0 : lines.lastIndexOf("\n", start - 1) + 1;
        const found = matchIn(alone, lines, Math.max(lineStart, from), lineEnd);
        if (found) return found;
        at = lineEnd + 1;
      }
      return undefined;
    };
  };
}

function findByLine(alone: RE2JS): LineMatcher {
  return (lines) => (from) => {
    for (let at = from; at <= lines.length; ) {
      const lineEnd = endOfLine(lines, at);
      const found = matchIn(alone, lines, at, lineEnd);
      if (found) return found;
      at = lineEnd + 1;
    }
    return undefined;
  };
}

function matchIn(alone: RE2JS, lines: string, start: number, end: number): Match | undefined {
  const matcher = alone.matcher(lines.slice(start, end));
  return matcher.find() ? { start: start + matcher.start(), end: start + matcher.end() } : undefined;
}

function endOfLine(lines: string, from: number): number {
  const end = lines.indexOf("\n", from);
  return end < 0 ? lines.length : end;
}

const lower = (text: string) => text.toLowerCase();
const isAscii = (text: string) => !/[^\x20-\x7e]/.test(text);
