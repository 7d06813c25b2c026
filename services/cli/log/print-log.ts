import type { Io } from "../io.ts";
import { neutralise } from "../neutralise.ts";
import { paint, wantsColour } from "../paint.ts";
import { printNdjson } from "../print-json.ts";
import { LineClock, type LogPiece } from "./line-clock.ts";
import { readLogText } from "./log-text.ts";

export interface LogPrinter {
  take(piece: LogPiece): Promise<void>;
  end(): Promise<void>;
}

const LONGEST_LINE = 64 * 1024;
const LINE_END = 10;
const NO_TIME = "-".padEnd("2026-01-01T00:00:00.000Z".length);

/** Prints bytes as they are. */
export function rawPrinter(io: Io): LogPrinter {
  return { take: ({ data }) => io.stdout.write(data), end: async () => {} };
}

/** Prints text as it comes, and ends it with a line end. */
export function plainPrinter(io: Io): LogPrinter {
  const text = readLogText({ colours: wantsColour(io) && io.isTty });
  let last = "\n";
  const write = async (piece: string) => {
    if (piece === "") return;
    last = piece.slice(-1);
    await io.stdout.write(piece);
  };
  return {
    take: ({ data }) => write(text.take(data)),
    async end() {
      await write(text.end());
      if (last !== "\n") await write("\n");
    },
  };
}

/** What stands before each line. */
export interface Prefix {
  step?: { key: string; width: number };
  /** True: when the line was read from the step. */
  times?: boolean;
}

/** Prints whole lines, each behind the name of its step, its time, or both. */
export function prefixPrinter(io: Io, { step, times = false }: Prefix): LogPrinter {
  const colours = wantsColour(io) && io.isTty;
  const name = step ? `${paint(io, "dim", `${neutralise(step.key).padEnd(step.width)} |`)} ` : "";
  const prefixOf = ({ at }: Line) => (times ? `${name}${paint(io, "dim", at ?? NO_TIME)} ` : name);
  const shown = (line: Line) =>
    `${prefixOf(line)}${line.text}${colours && line.text.includes("\x1b") ? "\x1b[0m" : ""}\n`;
  return linePrinter(colours, (lines) => io.stdout.write(lines.map(shown).join("")));
}

/** Prints each line as an object of its own. */
export function ndjsonPrinter(io: Io, facts: Record<string, unknown>): LogPrinter {
  return linePrinter(false, async (lines) => {
    for (const { at, text } of lines) await printNdjson(io, { type: "log", at: at ?? null, ...facts, text });
  });
}

interface Line {
  text: string;
  /** When its first byte was read, where the log tells. */
  at: string | undefined;
}

function linePrinter(colours: boolean, print: (lines: Line[]) => Promise<void>): LogPrinter {
  const text = readLogText({ colours });
  const clock = new LineClock();
  let begins = true;
  let at: string | undefined;
  let rest = "";
  /** Takes bytes up to a line end, or up to where the piece ends. */
  const takePart = (data: Uint8Array, offset: bigint): Line[] => {
    if (begins) at = clock.at(offset);
    begins = data.at(-1) === LINE_END;
    const lines = (rest + text.take(data)).split("\n");
    rest = lines.pop() ?? "";
    // A line without an end must not gather for ever.
    if (rest.length > LONGEST_LINE) {
      lines.push(rest);
      rest = "";
    }
    return lines.map((line) => ({ text: line, at }));
  };
  return {
    async take({ data, offset, times }) {
      clock.take(times);
      const lines: Line[] = [];
      for (let from = 0; from < data.length; ) {
        const end = data.indexOf(LINE_END, from) + 1 || data.length;
        lines.push(...takePart(data.subarray(from, end), offset + BigInt(from)));
        from = end;
      }
      if (lines.length > 0) await print(lines);
    },
    async end() {
      const left = rest + text.end();
      rest = "";
      if (left !== "") await print([{ text: left, at }]);
    },
  };
}
