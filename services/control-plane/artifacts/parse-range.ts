export interface Range {
  offset: number;
  length: number;
}

/**
 * Reads a Range header (RFC 9110, 14.2) against a size. Undefined: the whole, also for units we do not know. More than
 * one range, or one outside: unsatisfiable.
 */
export function parseRange(header: string | undefined, sizeBytes: number): Range | "unsatisfiable" | undefined {
  if (header === undefined || !header.startsWith("bytes=")) return undefined;
  const match = /^bytes=\s*(\d{0,15})-(\d{0,15})\s*$/.exec(header);
  if (!match || (match[1] === "" && match[2] === "")) return "unsatisfiable";
  if (match[1] === "") {
    const length = Math.min(Number(match[2]), sizeBytes);
    return length === 0 ? "unsatisfiable" : { offset: sizeBytes - length, length };
  }
  const offset = Number(match[1]);
  const last = match[2] === "" ? sizeBytes - 1 : Math.min(Number(match[2]), sizeBytes - 1);
  return offset > last ? "unsatisfiable" : { offset, length: last - offset + 1 };
}
