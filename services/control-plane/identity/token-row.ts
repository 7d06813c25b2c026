import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { Scope, type Token, TokenSchema } from "@ritmo/contract/ritmo/identity/v1/identity_pb.js";
import type { Scope as ScopeName } from "./caller.ts";

/** A token as its table has it, but for the hash. */
export interface TokenRow {
  id: string;
  name: string;
  scope: ScopeName;
  created_at: Date;
  last_used_at: Date | null;
  expires_at: Date | null;
  revoked_at: Date | null;
}

const SCOPE: Record<ScopeName, Scope> = { read: Scope.READ, write: Scope.WRITE, admin: Scope.ADMIN };

/** The scope's name, or undefined for a value that is none. */
export function scopeName(scope: Scope): ScopeName | undefined {
  return (Object.keys(SCOPE) as ScopeName[]).find((name) => SCOPE[name] === scope);
}

export function tokenMessage(row: TokenRow): Token {
  return create(TokenSchema, {
    id: row.id,
    name: row.name,
    scope: SCOPE[row.scope],
    createdAt: timestampFromDate(row.created_at),
    ...(row.last_used_at ? { lastUsedAt: timestampFromDate(row.last_used_at) } : {}),
    ...(row.expires_at ? { expiresAt: timestampFromDate(row.expires_at) } : {}),
    ...(row.revoked_at ? { revokedAt: timestampFromDate(row.revoked_at) } : {}),
  });
}
