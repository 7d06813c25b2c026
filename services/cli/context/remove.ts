import type { Cli } from "../cli.ts";
import { readContexts, writeContexts } from "../contexts.ts";
import { neutralise } from "../neutralise.ts";
import { unknownContext } from "../settings.ts";

/** Forgets a context and its token. */
export async function removeContext({ io }: Cli, _options: object, [name = ""]: string[]): Promise<void> {
  const all = readContexts(io.env);
  if (!all.contexts[name]) throw unknownContext(name, all);
  delete all.contexts[name];
  const { current, ...rest } = all;
  writeContexts(io.env, { ...rest, ...(current !== undefined && current !== name ? { current } : {}) });
  await io.stderr.write(`${neutralise(name)} is forgotten.\n`);
}
