import { stripVTControlCharacters } from "node:util";
import type { Io } from "./io.ts";
import { neutralise } from "./neutralise.ts";
import { paint, type Style } from "./paint.ts";

/** A cell: text, which is neutralised, with a colour where it has a meaning. */
export type Cell = string | { text: string; style: Style };

/**
 * Prints rows under their titles, each column as wide as its widest cell; on a terminal the last column is cut to
 * what is left of the line. Nothing is printed where there are no rows.
 */
export async function printTable(io: Io, titles: string[], rows: Cell[][]): Promise<void> {
  if (rows.length === 0) return;
  const texts = rows.map((row) => row.map((cell) => neutralise(typeof cell === "string" ? cell : cell.text)));
  const widths = titles.map((title, i) => Math.max(title.length, ...texts.map((row) => lengthOf(row[i] ?? ""))));
  const room = io.isTty ? Math.max(16, io.columns - widths.slice(0, -1).reduce((sum, w) => sum + w + 2, 0)) : Infinity;
  const line = (cells: string[], styles: (Style | undefined)[]) =>
    cells
      .map((text, i) => {
        const last = i === cells.length - 1;
        const fitted = last ? cut(text, room) : text + " ".repeat((widths[i] ?? 0) - lengthOf(text));
        const style = styles[i];
        return style ? paint(io, style, fitted) : fitted;
      })
      .join("  ")
      .trimEnd();
  const lines = [
    line(
      titles,
      titles.map(() => "dim" as const),
    ),
    ...texts.map((cells, r) =>
      line(
        cells,
        (rows[r] ?? []).map((c) => (typeof c === "string" ? undefined : c.style)),
      ),
    ),
  ];
  await io.stdout.write(`${lines.join("\n")}\n`);
}

function lengthOf(text: string): number {
  return [...stripVTControlCharacters(text)].length;
}

function cut(text: string, room: number): string {
  const chars = [...text];
  return chars.length <= room ? text : `${chars.slice(0, room - 1).join("")}…`;
}
