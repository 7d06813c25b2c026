import type { Finding } from "./finding.ts";

export const MAX_TEXT_BYTES = 512 * 1024;

/**
 * What can be said before any parser sees the text: its size, its encoding, characters that no editor shows. Answers
 * the text to parse, in which every place is the same as an editor shows it.
 */
export function checkText(original: string): { text: string; findings: Finding[] } {
  const bytes = Buffer.byteLength(original);
  if (bytes > MAX_TEXT_BYTES) {
    const message = `the pipeline has ${bytes} bytes; at most ${MAX_TEXT_BYTES} (512 KiB) are allowed`;
    return { text: "", findings: [{ code: "too-large", message, fix: "split the pipeline", place: [0, 0] }] };
  }
  const text = withoutTabs(original.replace(/^\uFEFF/, ""));
  const hostile = findHostile(text);
  if (hostile) return { text, findings: [hostile] };
  // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what is looked for
  const odd = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f\ufffd]/.exec(text);
  if (!odd) return { text, findings: [] };
  const place = [odd.index, odd.index + 1] as const;
  if (odd[0] === "\ufffd") {
    const message = "this is not text in UTF-8";
    return { text, findings: [{ code: "bad-encoding", message, fix: "save the file as UTF-8", place }] };
  }
  const message = `a control character (0x${odd[0].charCodeAt(0).toString(16).padStart(2, "0")}) stands here`;
  return { text, findings: [{ code: "control-character", message, fix: "remove it", place }] };
}

// Far more than any pipeline or script has, and little enough for the parser, which takes a kilobyte for each.
const MAX_OPEN_BRACKETS = 2000;

/** What would make the parser use seconds and hundreds of megabytes: nesting and commas without end. */
function findHostile(text: string): Finding | undefined {
  const run = /(?:[-?:] ){1000}|(?:,\s*){1000}/.exec(text);
  const start = run?.index ?? tooManyOpen(text);
  if (start === undefined) return undefined;
  return { code: "too-deep", message: "this is nested too deeply", place: [start, start + 1] };
}

function tooManyOpen(text: string): number | undefined {
  let open = 0;
  for (const { 0: bracket, index } of text.matchAll(/[[\]{}]/g)) {
    open += bracket === "[" || bracket === "{" ? 1 : open > 0 ? -1 : 0;
    if (open > MAX_OPEN_BRACKETS) return index;
  }
  return undefined;
}

/** JSON may be indented with tabs, YAML may not; within JSON a tab is never part of a string. */
function withoutTabs(text: string): string {
  if (!text.includes("\t") || !/^\s*\{/.test(text)) return text;
  try {
    JSON.parse(text);
    return text.replaceAll("\t", " ");
  } catch {
    return text;
  }
}
