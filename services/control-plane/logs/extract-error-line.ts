import { stripAnsi } from "./strip-ansi.ts";

const MAX_LENGTH = 300;

// The surest first. Each looks for what begins an error's message in the tools that builds run.
const SIGNS: RegExp[] = [
  // TypeScript, clang, gcc, rustc, go vet: a place, then the word.
  /(^|[\s:\])])(fatal )?error(\[\w+\]|\s+TS\d+)?: /i,
  /^\s*(E {2,}|Error\b|error\b|fatal:|FATAL\b|panic:|PANIC\b|\w*(Error|Exception)\b:?)/,
  /\b(AssertionError|TypeError|ReferenceError|SyntaxError|\w+Exception|segmentation fault|core dumped|out of memory)\b/i,
  /^\s*(not ok\b|--- FAIL|FAIL\b|FAILED\b|✗|✘|×)/,
  /(command not found|no such file or directory|permission denied|cannot find|not found|undefined reference)/i,
  /\b(errors?|fail(ed|ure|s)?|fatal|panic|exception)\b/i,
  /^Traceback /,
];
// Lines that have the words and say that all is well.
const FINE =
  /\b(0|no) (errors?|fail(ed|ures?)?|failing)\b|\berrors?: 0\b|\bfail(ed|ures?)?: 0\b|without errors?|--no-error/i;
// What the shell echoes of a script's commands is no message.
const ECHO = /^\s*[+$>]\s/;

/**
 * The line of a log that most likely says what went wrong: the first one with the surest sign of an error, or the last
 * line that says anything. Without colours, at most 300 characters; empty for an empty log.
 */
export function extractErrorLine(text: string): string {
  const lines = stripAnsi(text)
    .split("\n")
    .map((line) => (line.split("\r").findLast((part) => part.trim() !== "") ?? "").trim())
    .filter((line) => line !== "");
  const candidates = lines.filter((line) => !FINE.test(line) && !ECHO.test(line));
  for (const sign of SIGNS) {
    const found = candidates.find((line) => sign.test(line));
    if (found !== undefined) return shorten(found);
  }
  return shorten(lines.at(-1) ?? "");
}

function shorten(line: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: those are what must not be kept.
  const plain = line.replace(/[\u0000-\u001f\u007f]+/g, " ").slice(0, MAX_LENGTH);
  // A cut pair of surrogates is no text that a database takes.
  return plain.isWellFormed() ? plain : plain.toWellFormed();
}
