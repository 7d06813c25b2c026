/** The one token that a call presents, or why there is none to look up. */
export type Bearer = { token: string } | { problem: "missing" | "malformed" | "contradictory" };

// `Bearer` in any case (RFC 9110, 11.1), one token of its alphabet (RFC 6750, 2.1). Ours are far shorter.
const BEARER = /^bearer +([A-Za-z0-9._~+/-]{1,512}=*)$/i;

/** Reads the values of all `authorization` headers of a call. Two that differ are refused: neither may win. */
export function readBearer(values: readonly string[]): Bearer {
  const [first, ...others] = values;
  if (first === undefined) return { problem: "missing" };
  if (others.some((other) => other !== first)) return { problem: "contradictory" };
  const token = BEARER.exec(first)?.[1];
  return token === undefined ? { problem: "malformed" } : { token };
}

/** The values of a header among Node's raw headers, which keep what its parsed ones drop: repetitions. */
export function valuesOf(rawHeaders: readonly string[], name: string): string[] {
  const values: string[] = [];
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    if (rawHeaders[i]?.toLowerCase() === name) values.push(rawHeaders[i + 1] ?? "");
  }
  return values;
}
