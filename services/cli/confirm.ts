import { createInterface } from "node:readline/promises";
import { PassThrough } from "node:stream";
import { CliError, EXIT, usage } from "./exit-codes.ts";
import type { Io } from "./io.ts";
import { neutralise } from "./neutralise.ts";

/** Asks before what can't be undone; without a terminal it refuses and names the flag. */
export async function confirm(io: Io, yes: boolean, question: string): Promise<void> {
  if (yes) return;
  if (!io.stdinIsTty) throw usage(`${question} This can't be undone, and there is nobody to ask: pass --yes.`);
  const answer = await ask(io, `${neutralise(question)} [y/N] `);
  if (!/^y(es)?$/i.test(answer.trim())) throw new CliError(EXIT.error, "Nothing was changed.");
}

/** Asks for a line; a secret is not shown while it is typed. */
export async function ask(io: Io, question: string, { secret = false }: { secret?: boolean } = {}): Promise<string> {
  await io.stderr.write(question);
  // Readline echoes to its output: a secret's goes nowhere.
  const output = new PassThrough();
  output.on("data", (data) => (secret ? undefined : void io.stderr.write(data)));
  const lines = createInterface({ input: io.stdin, output, terminal: secret });
  try {
    return await lines.question("", { signal: io.signal });
  } finally {
    lines.close();
    if (secret) await io.stderr.write("\n");
  }
}
