import { randomBytes } from "node:crypto";

/** What each prefix of an id stands for. */
export const ID_KINDS = {
  org: "organization",
  tok: "token",
  job: "job",
  bld: "build",
  stp: "step",
  att: "attempt",
  wrk: "worker",
  ses: "session",
  art: "artifact",
} as const;

export type IdPrefix = keyof typeof ID_KINDS;

// Crockford's alphabet in lower case keeps the order of the bytes, and has no letters that are read for digits.
const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";
const ID_PATTERN = /^([a-z]{3})_[0-9a-hjkmnp-tv-z]{26}$/;

/** A new id: the prefix, `_`, and 26 characters of a UUID of version 7 (RFC 9562), so that ids sort by their time. */
export function newId(prefix: IdPrefix, nowMs: number = Date.now()): string {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(nowMs, 0, 6);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x70;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  let value = BigInt(`0x${bytes.toString("hex")}`);
  let text = "";
  for (let i = 0; i < 26; i++) {
    text = ALPHABET[Number(value & 31n)] + text;
    value >>= 5n;
  }
  return `${prefix}_${text}`;
}

/** The prefix of something that looks like an id, or undefined. */
export function prefixOfId(text: string): IdPrefix | undefined {
  const prefix = ID_PATTERN.exec(text)?.[1];
  return prefix !== undefined && prefix in ID_KINDS ? (prefix as IdPrefix) : undefined;
}
