import { styleText } from "node:util";
import type { Io } from "./io.ts";

export type Style = "green" | "red" | "yellow" | "cyan" | "dim" | "bold";

/** Colours a text where colours are wanted: FORCE_COLOR, else NO_COLOR, else whether stdout is a terminal. */
export function paint(io: Pick<Io, "env" | "isTty">, style: Style, text: string): string {
  return wantsColour(io) ? styleText(style, text, { validateStream: false }) : text;
}

export function wantsColour({ env, isTty }: Pick<Io, "env" | "isTty">): boolean {
  const forced = env["FORCE_COLOR"];
  if (forced !== undefined && forced !== "") return forced !== "0" && forced !== "false";
  if (env["NO_COLOR"]) return false;
  return isTty && env["TERM"] !== "dumb";
}
