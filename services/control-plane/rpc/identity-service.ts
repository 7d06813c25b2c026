import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  CreateTokenResponseSchema,
  type IdentityService,
  type ListTokensRequest,
  RevokeTokenResponseSchema,
} from "@ritmo/contract/ritmo/identity/v1/identity_pb.js";
import { prefixOfId } from "../../process/new-id.ts";
import { badField, notFound, Refusal } from "../../process/refusal.ts";
import { VERSION } from "../../process/version.ts";
import type { Core } from "../core.ts";
import { callerOf, peerOf } from "../edge/context.ts";
import type { Caller } from "../identity/caller.ts";
import { createToken } from "../identity/create-token.ts";
import { exchangeSetupCode } from "../identity/exchange-setup-code.ts";
import { limitGuesses } from "../identity/limit-guesses.ts";
import { listTokens, readToken } from "../identity/list-tokens.ts";
import { once } from "../identity/once.ts";
import { readOrganization } from "../identity/read-organization.ts";
import { revokeToken } from "../identity/revoke-token.ts";
import { scopeName, tokenMessage } from "../identity/token-row.ts";
import { pageSize } from "./page-size.ts";
import { openPageTokens, type PageTokens } from "./page-token.ts";

/** Who calls, and tokens. */
export function identityService({ db, url }: Pick<Core, "db" | "url">): ServiceImpl<typeof IdentityService> {
  const pages = openPageTokens(db);
  const guesses = limitGuesses();
  return {
    async whoAmI(_request, context) {
      const caller = callerOf(context);
      const row = await readToken(db, caller.tokenId);
      if (!row) throw notFound("token", caller.tokenId);
      const organization = await readOrganization(db, caller.orgId);
      return { token: tokenMessage(row), organization, version: VERSION, url };
    },
    async createToken(request, context) {
      const caller = callerOf(context);
      const scope = scopeName(request.scope);
      if (!scope) throw badField("scope", "one of SCOPE_READ, SCOPE_WRITE and SCOPE_ADMIN");
      const expiresAt = request.expiresAt && timestampDate(request.expiresAt);
      if (expiresAt && Number.isNaN(expiresAt.getTime())) throw badField("expires_at", "not a time");
      const run = async (tx: Parameters<typeof createToken>[0]) => {
        const { row, value } = await createToken(tx, caller.orgId, { name: request.name, scope, expiresAt });
        return { token: tokenMessage(row), value };
      };
      return once(db, caller, "CreateToken", request, CreateTokenResponseSchema, run, {
        remember: ({ token }) => (token ? { token } : {}),
      });
    },
    async listTokens(request, context) {
      return listPage(db, pages, callerOf(context), request);
    },
    async revokeToken(request, context) {
      const caller = callerOf(context);
      refuseOtherKind(request.id);
      return once(db, caller, "RevokeToken", request, RevokeTokenResponseSchema, async (tx) => ({
        token: tokenMessage(await revokeToken(tx, caller.orgId, request.id)),
      }));
    },
    async exchangeSetupCode({ code }, context) {
      const peer = peerOf(context);
      guesses.check(peer);
      try {
        const { row, value } = await exchangeSetupCode({ db }, code);
        return { token: tokenMessage(row), value };
      } catch (reason) {
        if (reason instanceof Refusal) guesses.wrong(peer);
        throw reason;
      }
    },
  };
}

async function listPage(db: Core["db"], pages: PageTokens, caller: Caller, request: ListTokensRequest) {
  const of = { orgId: caller.orgId, list: "tokens", filters: null };
  const position = await pages.read<[string]>(of, request.pageToken);
  const size = pageSize(request.pageSize, { fallback: 100, max: 500 });
  const rows = await listTokens(db, caller.orgId, size + 1, position?.[0]);
  const page = rows.slice(0, size);
  const last = page.at(-1);
  return {
    tokens: page.map(tokenMessage),
    nextPageToken: rows.length > size && last ? await pages.write(of, [last.id]) : "",
  };
}

function refuseOtherKind(id: string): void {
  const prefix = prefixOfId(id);
  if (prefix !== undefined && prefix !== "tok") throw badField("id", "an id that begins with tok_", "WRONG_KIND");
}
