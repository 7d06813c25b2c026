import { createHash, randomBytes } from "node:crypto";

/** A new token's value: 256 random bits behind a prefix that tells a user's from a worker's. */
export function newTokenValue(kind: "user" | "worker"): string {
  return `${kind === "user" ? "rt" : "rw"}_${randomBytes(32).toString("base64url")}`;
}

/** What is kept of a token: SHA-256 of the whole value. With 256 random bits no slow hash is needed. */
export function hashToken(value: string): Buffer {
  return createHash("sha256").update(value).digest();
}

/** Whether a text has the form of a token, so that no other reaches the database. */
export function looksLikeToken(value: string, kind: "user" | "worker"): boolean {
  return (kind === "user" ? /^rt_[\w-]{43}$/ : /^rw_[\w-]{43}$/).test(value);
}
