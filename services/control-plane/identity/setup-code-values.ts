import { createHash, randomInt } from "node:crypto";

// Crockford's alphabet without the letters that are read for digits; 20 of them carry 100 bits.
const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/** A new one-time code, as people read it: `7K2M-…` in five groups of four. */
export function newSetupCode(): string {
  const groups = Array.from({ length: 5 }, () =>
    Array.from({ length: 4 }, () => ALPHABET[randomInt(ALPHABET.length)]).join(""),
  );
  return groups.join("-");
}

/** What is kept of it. Case, spaces and dashes do not matter, nor letters that look like digits. */
export function hashSetupCode(code: string): Buffer {
  const plain = code.toUpperCase().replace(/[\s-]/g, "").replace(/O/g, "0").replace(/[IL]/g, "1");
  return createHash("sha256").update(plain).digest();
}
