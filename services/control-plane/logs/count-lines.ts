const LF = 10;

/** How many line ends (LF) the bytes have. */
export function countLineEnds(bytes: Uint8Array, from = 0, to: number = bytes.length): number {
  let count = 0;
  for (let i = from; i < to; i++) if (bytes[i] === LF) count++;
  return count;
}

/** Where the byte after the n-th line end is, from 1; the length when there are fewer. */
export function afterLineEnd(bytes: Buffer, n: number): number {
  let at = 0;
  for (let i = 0; i < n; i++) {
    const found = bytes.indexOf(LF, at);
    if (found < 0) return bytes.length;
    at = found + 1;
  }
  return at;
}
