/** What a line of output said about groups, and the offset that it takes effect at: where the next line begins. */
export type FoundMark = { offset: number; kind: "begin"; name: string } | { offset: number; kind: "end" };

export interface MarkScanner {
  /** Looks at the next bytes, which begin at an offset; never changes them. */
  scan(bytes: Uint8Array, offset: number): FoundMark[];
}

const LF = 0x0a;
// A line is looked at up to here; a marker whose name is longer is cut.
const MAX_LINE_BYTES = 512;
const MAX_NAME_LENGTH = 200;
// First bytes of a line that may be a marker: `:` `-` `s` and ESC.
const FIRST = new Set([0x3a, 0x2d, 0x73, 0x1b]);

/**
 * Finds the group marks that programs print for other systems: `::group::NAME` and `::endgroup::`, `--- NAME`, and
 * GitLab's `section_start:TIME:ID\r\e[0KNAME` and `section_end:TIME:ID`. A marker may lie across any borders of what
 * is read. A line without its end is no marker yet.
 */
export function markScanner(): MarkScanner {
  let line = "";
  // Whether the line so far can't be a marker, so that a flood of text costs no more than looking for line ends.
  let dull = false;
  let openDashes = false;
  return {
    scan(bytes, offset) {
      const found: FoundMark[] = [];
      for (let at = 0; at < bytes.length; ) {
        if (line === "" && !dull) dull = !FIRST.has(bytes[at] as number);
        const lineEnd = bytes.indexOf(LF, at);
        const end = lineEnd < 0 ? bytes.length : lineEnd;
        if (!dull && line.length < MAX_LINE_BYTES) {
          line += Buffer.from(bytes.buffer, bytes.byteOffset + at, Math.min(end - at, MAX_LINE_BYTES)).toString(
            "latin1",
          );
        }
        if (lineEnd >= 0) {
          if (!dull) openDashes = addMarks(found, line, offset + lineEnd + 1, openDashes);
          line = "";
          dull = false;
        }
        at = end + 1;
      }
      return found;
    },
  };
}

function addMarks(found: FoundMark[], line: string, offset: number, openDashes: boolean): boolean {
  const mark = readMark(line);
  if (!mark) return openDashes;
  if (mark.kind === "dashes" && openDashes) found.push({ offset, kind: "end" });
  if (mark.kind === "end") found.push({ offset, kind: "end" });
  else found.push({ offset, kind: "begin", name: tidy(mark.name) });
  return mark.kind === "dashes" ? true : openDashes;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: terminals' escape sequences are what is looked for
const SECTION = /^(?:\x1b\[0K)?section_(start|end):\d+:([^\s\r[]{1,100})(?:\[[^\]]*\])?\r?(?:\x1b\[0K)?(.*)$/;

function readMark(line: string): { kind: "begin" | "dashes"; name: string } | { kind: "end" } | undefined {
  if (line.startsWith("::group::")) return { kind: "begin", name: line.slice(9) };
  if (line.startsWith("::endgroup::")) return { kind: "end" };
  if (line.startsWith("--- ") && line.length > 4) return { kind: "dashes", name: line.slice(4) };
  const section = SECTION.exec(line);
  if (!section) return undefined;
  return section[1] === "end" ? { kind: "end" } : { kind: "begin", name: section[3] || (section[2] ?? "") };
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is removed
const CONTROL = /\x1b\[[0-9;]*[A-Za-z]|[\x00-\x1f\x7f]/g;

function tidy(latin1: string): string {
  const text = Buffer.from(latin1, "latin1").toString("utf8").replace(CONTROL, "").trim();
  return text.slice(0, MAX_NAME_LENGTH) || "group";
}
