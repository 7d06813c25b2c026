import type { Cli } from "../cli.ts";
import { readContexts, writeContexts } from "../contexts.ts";
import { neutralise } from "../neutralise.ts";
import { unknownContext } from "../settings.ts";

/** Makes a context the current one. */
export async function useContext({ io }: Cli, _options: object, [name = ""]: string[]): Promise<void> {
  const all = readContexts(io.env);
  const context = all.contexts[name];
  if (!context) throw unknownContext(name, all);
  writeContexts(io.env, { ...all, current: name });
  await io.stderr.write(`${neutralise(name)} is the current context: ${neutralise(context.server)}.\n`);
}
