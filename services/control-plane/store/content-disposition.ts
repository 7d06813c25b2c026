// What RFC 8187 lets stand as it is.
const PLAIN = /[A-Za-z0-9!#$&+.^_`|~-]/;
// Characters that turn the reading direction, or can't be seen.
const MISLEADING = /[\p{Cc}\p{Cf}\p{Co}\p{Cs}]/gu;

/** The header that makes a browser keep a file under its name instead of showing it (RFC 6266). */
export function contentDisposition(fileName: string): string {
  const name = fileName.replace(MISLEADING, "_") || "artifact";
  const ascii = name.replace(/[^\x20-\x7e]|["\\%/]/g, "_");
  if (ascii === name) return `attachment; filename="${name}"`;
  const encoded = [...Buffer.from(name)]
    .map((byte) => (byte < 0x80 && PLAIN.test(String.fromCharCode(byte)) ? String.fromCharCode(byte) : percent(byte)))
    .join("");
  return `attachment; filename="${ascii}"; filename*=UTF-8''${encoded}`;
}

const percent = (byte: number) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
