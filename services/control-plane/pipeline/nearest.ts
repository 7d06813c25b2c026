/**
 * The candidate that a word was most likely meant to be: by the fewest letters inserted, removed, changed or swapped
 * (optimal string alignment), and near enough to be no accident. Undefined: none is.
 */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  const limit = Math.max(1, Math.floor(word.length / 3));
  let best: string | undefined;
  let bestDistance = limit + 1;
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - word.length) >= bestDistance) continue;
    const distance = distanceBetween(word.toLowerCase(), candidate.toLowerCase(), bestDistance);
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

/** The distance, or the limit when it is that or more. */
function distanceBetween(a: string, b: string, limit: number): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) row.push(cell(a, b, i, j, [beforeLast, last, row]));
    if (Math.min(...row) >= limit) return limit;
    [beforeLast, last] = [last, row];
  }
  return last[b.length] ?? limit;
}

function cell(a: string, b: string, i: number, j: number, [beforeLast, last, row]: [number[], number[], number[]]) {
  const change = a[i - 1] === b[j - 1] ? 0 : 1;
  const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
  return Math.min(
    (last[j] as number) + 1,
    (row[j - 1] as number) + 1,
    (last[j - 1] as number) + change,
    swapped ? (beforeLast[j - 2] as number) + 1 : Number.POSITIVE_INFINITY,
  );
}
