// Control characters of both sets, line and paragraph separators, marks of direction and invisible ones: what could
// move the cursor, colour the terminal, or make a text read as another ("Trojan Source", CVE-2021-42574).
const UNSAFE = /[\p{Cc}\u2028\u2029\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/gu;

const SHORT: Record<string, string> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** A text from elsewhere as one line that shows what is in it and does nothing. */
export function neutralise(text: string): string {
  return text.replace(UNSAFE, (char) => {
    const code = char.codePointAt(0) ?? 0;
    return SHORT[char] ?? (code < 256 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u{${code.toString(16)}}`);
  });
}

/** The same line by line. */
export function neutraliseLines(text: string): string {
  return text
    .replaceAll("\r\n", "\n")
    .split("\n")
    .map((line) => neutralise(line.replaceAll("\t", "  ")))
    .join("\n");
}
