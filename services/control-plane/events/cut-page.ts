/** A row of `events` as far as its place in a page goes. */
export interface Placed {
  xid: string;
  seq: number;
  /** The row that it is about. */
  subject: string;
}

/**
 * How many of `rows` make a page that its readers can take in the order of `seq`, of at most the first `most`. Rows come
 * in the order of their places, and those after `most` are what is known of what follows.
 *
 * A transaction has its id before it waits for a row, so what it writes there may follow, in truth and by `seq`, what
 * a transaction with a larger id wrote. Within a page that is mended by sorting. So a page ends where nothing after it
 * came before anything in it, row by row; and where it can, between transactions.
 */
export function cutPage(rows: readonly Placed[], most: number): number {
  const first = Math.min(most, rows.length);
  const whole = startOfTransaction(rows, first);
  // A transaction that fills a page by itself is told in parts.
  let end = whole === 0 ? first : whole;
  const earliest = new Map<string, number>();
  for (let noted = rows.length; noted > end; ) {
    while (noted > end) {
      noted--;
      const { subject, seq } = rows[noted] as Placed;
      earliest.set(subject, Math.min(seq, earliest.get(subject) ?? Number.POSITIVE_INFINITY));
    }
    const late = rows.findIndex(({ subject, seq }, at) => at < end && seq > (earliest.get(subject) ?? seq));
    if (late >= 0) end = startOfTransaction(rows, late);
  }
  return end;
}

/** The index of the first row of the transaction that has both the row before `at` and the one at it, or `at`. */
function startOfTransaction(rows: readonly Placed[], at: number): number {
  let start = at;
  const xid = rows[at]?.xid;
  while (start > 0 && rows[start - 1]?.xid === xid) start--;
  return start;
}
