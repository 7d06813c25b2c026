import type { Cli } from "../cli.ts";
import { readContexts, writeContexts } from "../contexts.ts";
import { CliError, EXIT } from "../exit-codes.ts";
import { chooseSettings } from "../settings.ts";

/** Forgets the token of the context in use. */
export async function logout(cli: Cli): Promise<void> {
  const name = chooseSettings(cli).context;
  const all = readContexts(cli.io.env);
  const context = name === undefined ? undefined : all.contexts[name];
  if (name === undefined || context?.token === undefined)
    throw new CliError(EXIT.error, "No context here is signed in.");
  const { token: _, ...rest } = context;
  writeContexts(cli.io.env, { ...all, contexts: { ...all.contexts, [name]: rest } });
  await cli.io.stderr.write(
    `The context ${JSON.stringify(name)} is signed out. Its token still works for who has it; \`ritmo token revoke\` ends it.\n`,
  );
}
