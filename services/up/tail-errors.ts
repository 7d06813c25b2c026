import { closeSync, existsSync, openSync, readSync, statSync } from "node:fs";

const LOOK_EVERY_MS = 300;
const MAX_BYTES_A_LOOK = 256 * 1024;
const ERROR_LEVEL = 50;
const SAME_LINE_EVERY_MS = 30_000;

/** Watches a log file from its present end and says each error in it as one line; the answer ends the watching. */
export function tailErrors(path: string, say: (line: string) => void): () => void {
  let offset = sizeOf(path);
  let rest = "";
  const saidAt = new Map<string, number>();
  const look = () => {
    const { text, end } = readFrom(path, offset);
    offset = end;
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const error = errorIn(line);
      if (error === undefined || Date.now() - (saidAt.get(error) ?? 0) < SAME_LINE_EVERY_MS) continue;
      saidAt.set(error, Date.now());
      say(error);
    }
  };
  const timer = setInterval(look, LOOK_EVERY_MS);
  return () => {
    clearInterval(timer);
    look();
  };
}

/** The last thing that a part wrote to its log before it died. */
export function lastWords(path: string): string | undefined {
  return pickLastWords(readFrom(path, Math.max(0, sizeOf(path) - 16 * 1024)).text);
}

/** The line of a dying process that says why. */
export function pickLastWords(text: string): string | undefined {
  const lines = text.trim().split("\n");
  const error = lines.map(errorIn).findLast((line) => line !== undefined);
  if (error !== undefined) return error;
  // What is no object of the log: a line that was meant for people, or what Node says of an exception.
  const plain = lines.filter((line) => line.trim() !== "" && !line.startsWith("{"));
  return plain.findLast((line) => /^\w*Error\b/.test(line)) ?? plain.at(-1);
}

function errorIn(line: string): string | undefined {
  if (!line.startsWith("{")) return undefined;
  try {
    const entry = JSON.parse(line) as { level?: number; msg?: string; err?: { message?: string } };
    if ((entry.level ?? 0) < ERROR_LEVEL) return undefined;
    const words = [entry.msg, entry.err?.message].filter((word) => word !== undefined && word !== "");
    return [...new Set(words)].join(": ").split("\n")[0];
  } catch {
    return undefined;
  }
}

function sizeOf(path: string): number {
  return existsSync(path) ? statSync(path).size : 0;
}

function readFrom(path: string, offset: number): { text: string; end: number } {
  const size = sizeOf(path);
  if (size <= offset) return { text: "", end: size };
  const fd = openSync(path, "r");
  try {
    const from = Math.max(offset, size - MAX_BYTES_A_LOOK);
    const buffer = Buffer.alloc(size - from);
    const got = readSync(fd, buffer, 0, buffer.length, from);
    return { text: buffer.toString("utf8", 0, got), end: from + got };
  } finally {
    closeSync(fd);
  }
}
