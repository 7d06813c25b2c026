import type { Cli } from "../cli.ts";
import { openServer } from "../open-client.ts";

/** Prints the token that calls are made with, and nothing else. */
export async function printToken(cli: Cli): Promise<void> {
  const { settings } = openServer(cli);
  await cli.io.stdout.write(`${settings.token?.value}\n`);
}
