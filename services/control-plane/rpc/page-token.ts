import { createHmac, timingSafeEqual } from "node:crypto";
import { badField } from "../../process/refusal.ts";
import type { Sql } from "../store/open-database.ts";

/** Which list a page belongs to. A token is good for exactly this organization, list, and set of filters. */
export interface ListOf {
  orgId: string;
  /** Such as `builds`. */
  list: string;
  /** Everything of the request that decides which rows come in which order; not the page's size. */
  filters: unknown;
}

/** Where the next page begins: the values of the last row that the list is ordered by. */
export type Position = readonly (string | number)[];

export interface PageTokens {
  write(of: ListOf, position: Position): Promise<string>;
  /** The position in a token, undefined for an empty one. INVALID_ARGUMENT PAGE_TOKEN_INVALID for any but its own. */
  read<P extends Position>(of: ListOf, token: string): Promise<P | undefined>;
}

const MAC_BYTES = 16;
const MAX_LENGTH = 2_000;

/** Tokens that any replica reads: authenticated with a key in the database, which is read at the first use. */
export function openPageTokens(db: { sql: Sql }): PageTokens {
  let key: Promise<Buffer> | undefined;
  const readKey = () => {
    key ??= readPageKey(db.sql).catch((reason: unknown) => {
      key = undefined;
      throw reason;
    });
    return key;
  };
  return {
    async write(of, position) {
      const body = Buffer.from(JSON.stringify(position));
      return Buffer.concat([mac(await readKey(), of, body), body]).toString("base64url");
    },
    async read<P extends Position>(of: ListOf, token: string): Promise<P | undefined> {
      if (token === "") return undefined;
      const bytes = token.length > MAX_LENGTH ? Buffer.alloc(0) : Buffer.from(token, "base64url");
      const body = bytes.subarray(MAC_BYTES);
      if (body.length === 0 || !timingSafeEqual(bytes.subarray(0, MAC_BYTES), mac(await readKey(), of, body))) {
        throw badField(
          "page_token",
          "is of another list or of other filters; start from the first page",
          "PAGE_TOKEN_INVALID",
        );
      }
      return JSON.parse(body.toString()) as P;
    },
  };
}

async function readPageKey(sql: Sql): Promise<Buffer> {
  const [row] = await sql<{ value: Buffer }[]>`SELECT value FROM server_keys WHERE name = 'page_tokens'`;
  if (!row) throw new Error("server_keys has no row named page_tokens");
  return row.value;
}

function mac(key: Buffer, { orgId, list, filters }: ListOf, body: Buffer): Buffer {
  const bound = Buffer.from(JSON.stringify([orgId, list, filters]));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bound.length);
  return createHmac("sha256", key).update(length).update(bound).update(body).digest().subarray(0, MAC_BYTES);
}
