import type { Cli } from "../cli.ts";
import { readContexts } from "../contexts.ts";
import { printJson } from "../print-json.ts";
import { printTable } from "../print-table.ts";

/** Prints the contexts, never their tokens. */
export async function listContexts({ io }: Cli, options: { json?: boolean }): Promise<void> {
  const { current, contexts } = readContexts(io.env);
  const all = Object.entries(contexts).map(([name, { server, token, dataDir }]) => ({
    name,
    current: name === current,
    server,
    signedIn: token !== undefined,
    dataDir: dataDir ?? null,
  }));
  if (options.json) return printJson(io, all);
  const rows = all.map((c) => [c.current ? "*" : "", c.name, c.signedIn ? "signed in" : "signed out", c.server]);
  await printTable(io, ["", "CONTEXT", "STATE", "SERVER"], rows);
  if (rows.length === 0) await io.stderr.write("No contexts. `ritmo auth login` makes one, and `npm start` its own.\n");
}
