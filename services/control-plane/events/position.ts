import { badField } from "../../process/refusal.ts";

/**
 * A place in the order of events: a transaction's id, which all replicas and readers agree on, and the number within.
 * Everything up to and with it was seen. Transactions are counted anew in a database that was restored, so a place
 * belongs to one life of it and says nothing in another.
 */
export interface Position {
  life: bigint;
  xid: bigint;
  seq: number;
}

const VERSION = 2;
const BYTES = 25;

/** A life's id as a position bears it: the half of it that is the most random. */
export function lifeOf(incarnationId: string): bigint {
  return BigInt(`0x${incarnationId.replaceAll("-", "").slice(-16)}`);
}

/** Of two places in one life, which comes first. */
export function isBefore(a: Omit<Position, "life">, b: Omit<Position, "life">): boolean {
  return a.xid < b.xid || (a.xid === b.xid && a.seq < b.seq);
}

/** A position as a cursor, which means nothing to who holds it. */
export function writeCursor({ life, xid, seq }: Position): string {
  const bytes = Buffer.alloc(BYTES);
  bytes.writeUInt8(VERSION, 0);
  bytes.writeBigUInt64BE(life, 1);
  bytes.writeBigUInt64BE(xid, 9);
  bytes.writeBigUInt64BE(BigInt(seq), 17);
  return bytes.toString("base64url");
}

/**
 * The position of a cursor, undefined for an empty one. INVALID_ARGUMENT CURSOR_INVALID for what `writeCursor` never
 * made. It carries no key: whoever makes one up reads from another place of their own organization's events.
 */
export function readCursor(cursor: string): Position | undefined {
  if (cursor === "") return undefined;
  const bytes = cursor.length > 2 * BYTES ? Buffer.alloc(0) : Buffer.from(cursor, "base64url");
  const ours = bytes.length === BYTES && bytes[0] === VERSION && bytes.toString("base64url") === cursor;
  const seq = ours ? bytes.readBigUInt64BE(17) : -1n;
  if (seq < 0n || seq > BigInt(Number.MAX_SAFE_INTEGER))
    throw badField("cursor", "is not one of Watch's; begin again without one", "CURSOR_INVALID");
  return { life: bytes.readBigUInt64BE(1), xid: bytes.readBigUInt64BE(9), seq: Number(seq) };
}
