import {
  create,
  type DescMessage,
  fromBinary,
  type Message,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { badField, Refusal } from "../../process/refusal.ts";
import type { Db, Sql } from "../store/open-database.ts";
import type { Caller } from "./caller.ts";
import { hashRequest } from "./hash-request.ts";

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

export interface OnceOptions<O extends DescMessage> {
  /** What is remembered where that is not the whole response: a secret is answered once and stored nowhere. */
  remember?: (response: MessageShape<O>) => MessageInitShape<O>;
}

/**
 * Runs the effect of a mutating request once: what it answered is kept in the effect's own transaction, under the
 * caller, the method and the request's id, and a repetition gets it again. Of many at once one runs and the others
 * wait for it.
 *
 * Refuses a request_id that is no UUID, and with REQUEST_ID_REUSED one that was used for another request.
 */
export async function once<O extends DescMessage>(
  db: Db,
  caller: Pick<Caller, "orgId" | "tokenId">,
  method: string,
  request: Message & { requestId: string },
  responseSchema: O,
  run: (tx: Sql) => Promise<MessageInitShape<O>>,
  { remember = (response) => response as MessageInitShape<O> }: OnceOptions<O> = {},
): Promise<MessageShape<O>> {
  if (!UUID.test(request.requestId)) throw badField("request_id", "a UUID, made anew for every request");
  const key = { ...caller, method, requestId: request.requestId, hash: hashRequest(request) };
  return db.transaction(async (tx) => {
    // Waits for a request of the same id that is under way: when that one is rolled back, this one runs.
    if (!(await claim(tx, key))) return recall(tx, key, responseSchema);
    const response = create(responseSchema, await run(tx));
    await keep(tx, key, toBinary(responseSchema, create(responseSchema, remember(response))));
    return response;
  });
}

interface Key {
  orgId: string;
  tokenId: string;
  method: string;
  requestId: string;
  hash: Buffer;
}

async function claim(tx: Sql, key: Key): Promise<boolean> {
  const claimed = await tx`
    INSERT INTO requests (org_id, principal, method, request_id, request_hash, response)
    VALUES (${key.orgId}, ${key.tokenId}, ${key.method}, ${key.requestId}, ${key.hash}, '')
    ON CONFLICT DO NOTHING
    RETURNING true`;
  return claimed.length === 1;
}

async function recall<O extends DescMessage>(tx: Sql, key: Key, responseSchema: O): Promise<MessageShape<O>> {
  const [before] = await tx<{ request_hash: Buffer; response: Buffer }[]>`
    SELECT request_hash, response FROM requests
    WHERE org_id = ${key.orgId} AND principal = ${key.tokenId} AND method = ${key.method}
      AND request_id = ${key.requestId}`;
  if (!before) throw new Refusal("unavailable", "REQUEST_LOST", "the request's record is gone; ask again");
  if (!before.request_hash.equals(key.hash)) {
    throw new Refusal("already_exists", "REQUEST_ID_REUSED", "this request_id was used for another request");
  }
  return fromBinary(responseSchema, before.response);
}

async function keep(tx: Sql, key: Key, response: Uint8Array): Promise<void> {
  await tx`
    UPDATE requests SET response = ${Buffer.from(response)}
    WHERE org_id = ${key.orgId} AND principal = ${key.tokenId} AND method = ${key.method}
      AND request_id = ${key.requestId}`;
}
