import { IdentityService } from "@ritmo/contract/ritmo/identity/v1/identity_pb.js";
import type { Cli } from "../cli.ts";
import { neutralise } from "../neutralise.ts";
import { openServer } from "../open-client.ts";

/** Ends a token. */
export async function revokeToken(cli: Cli, _options: object, [id = ""]: string[]): Promise<void> {
  const { token } = await openServer(cli).client(IdentityService).revokeToken({ id });
  await cli.io.stderr.write(`${neutralise(token?.name ?? id)} is revoked.\n`);
}
