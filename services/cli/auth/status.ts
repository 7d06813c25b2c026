import { timestampDate } from "@bufbuild/protobuf/wkt";
import { IdentityService, ScopeSchema } from "@ritmo/contract/ritmo/identity/v1/identity_pb.js";
import type { Cli } from "../cli.ts";
import { neutralise } from "../neutralise.ts";
import { openServer } from "../open-client.ts";

/** Says which server is called, as whom, and where both come from. */
export async function status(cli: Cli): Promise<void> {
  const server = openServer(cli);
  const { settings } = server;
  const { token, organization, version } = await server.client(IdentityService).whoAmI({});
  const until = token?.expiresAt ? `, until ${timestampDate(token.expiresAt).toISOString()}` : "";
  const scope = ScopeSchema.value[token?.scope ?? 0]?.localName.toLowerCase() ?? "unknown";
  const rows = [
    ["Server", `${settings.server.value} (from ${settings.server.source}), version ${neutralise(version)}`],
    ["Token", `${neutralise(token?.name ?? "")}, scope ${scope}${until} (from ${settings.token?.source})`],
    ["Organization", neutralise(organization)],
  ];
  await cli.io.stdout.write(rows.map(([title = "", value]) => `${title.padEnd(14)}${value}\n`).join(""));
}
