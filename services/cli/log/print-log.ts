import type { Io } from "../io.ts";
import { neutralise } from "../neutralise.ts";
import { paint, wantsColour } from "../paint.ts";
import { printNdjson } from "../print-json.ts";
import { readLogText } from "./log-text.ts";

export interface LogPrinter {
  take(bytes: Uint8Array): Promise<void>;
  end(): Promise<void>;
}

const LONGEST_LINE = 64 * 1024;

/** Prints bytes as they are. */
export function rawPrinter(io: Io): LogPrinter {
  return { take: (bytes) => io.stdout.write(bytes), end: async () => {} };
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
    take: (bytes) => write(text.take(bytes)),
    async end() {
      await write(text.end());
      if (last !== "\n") await write("\n");
    },
  };
}

/** Prints whole lines, each behind the name of its step. */
export function prefixPrinter(io: Io, step: string, width: number): LogPrinter {
  const colours = wantsColour(io) && io.isTty;
  const prefix = `${paint(io, "dim", `${neutralise(step).padEnd(width)} |`)} `;
  return linePrinter(colours, (lines) =>
    io.stdout.write(
      lines.map((line) => `${prefix}${line}${colours && line.includes("\x1b") ? "\x1b[0m" : ""}\n`).join(""),
    ),
  );
}

/** Prints each line as an object of its own. */
export function ndjsonPrinter(io: Io, facts: Record<string, unknown>): LogPrinter {
  return linePrinter(false, async (lines) => {
    for (const line of lines) await printNdjson(io, { type: "log", ...facts, text: line });
  });
}

function linePrinter(colours: boolean, print: (lines: string[]) => Promise<void>): LogPrinter {
  const text = readLogText({ colours });
  let rest = "";
  return {
    async take(bytes) {
      const lines = (rest + text.take(bytes)).split("\n");
      rest = lines.pop() ?? "";
      // A line without an end must not gather for ever.
      if (rest.length > LONGEST_LINE) {
        lines.push(rest);
        rest = "";
      }
      if (lines.length > 0) await print(lines);
    },
    async end() {
      const left = rest + text.end();
      rest = "";
      if (left !== "") await print([left]);
    },
  };
}
