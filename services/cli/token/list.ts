import {
  IdentityService,
  ScopeSchema,
  type Token,
  TokenSchema,
} from "@ritmo/contract/ritmo/identity/v1/identity_pb.js";
import type { Cli } from "../cli.ts";
import { collectPages, readLimit } from "../collect-pages.ts";
import { openServer } from "../open-client.ts";
import { pick, printJson, readFields } from "../print-json.ts";
import { type Cell, printTable } from "../print-table.ts";
import { ago } from "../times.ts";

/** Prints tokens as a table, or as an array of the named fields. */
export async function listTokens(cli: Cli, options: { limit: string; json?: string | true }): Promise<void> {
  const fields = readFields(options.json, TokenSchema);
  const limit = readLimit(options.limit);
  const client = openServer(cli).client(IdentityService);
  const tokens = await collectPages(cli.io, limit, async (page) => {
    const { tokens: items, nextPageToken: next } = await client.listTokens(page);
    return { items, next };
  });
  if (fields)
    return printJson(
      cli.io,
      tokens.map((token) => pick(TokenSchema, token, fields)),
    );
  await printTable(cli.io, ["ID", "SCOPE", "STATE", "MADE", "USED", "NAME"], tokens.map(rowOf));
}

function rowOf(token: Token): Cell[] {
  const scope = ScopeSchema.value[token.scope]?.localName.toLowerCase() ?? "";
  const expired = token.expiresAt !== undefined && Number(token.expiresAt.seconds) * 1000 < Date.now();
  const state = token.revokedAt ? "revoked" : expired ? "expired" : "good";
  const shown: Cell = state === "good" ? state : { text: state, style: "dim" };
  return [token.id, scope, shown, ago(token.createdAt), ago(token.lastUsedAt) || "never", token.name];
}
