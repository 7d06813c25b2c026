/** An async iterable that is fed from outside; reading ends after `end`, or throws after `fail`. */
export interface Pushable<T> extends AsyncIterable<T> {
  push(value: T): void;
  end(): void;
  fail(reason: unknown): void;
  /** How many values wait to be read. */
  readonly waiting: number;
}

/** One reader at a time; the feeder watches `waiting` to stay within its bounds. */
export function pushable<T>(): Pushable<T> {
  const values: T[] = [];
  let over: { reason?: unknown; failed: boolean } | undefined;
  let wake: (() => void) | undefined;
  const notify = () => {
    wake?.();
    wake = undefined;
  };
  return {
    push(value) {
      if (over) return;
      values.push(value);
      notify();
    },
    end() {
      over ??= { failed: false };
      notify();
    },
    fail(reason) {
      over ??= { failed: true, reason };
      notify();
    },
    get waiting() {
      return values.length;
    },
    async *[Symbol.asyncIterator]() {
      for (;;) {
        while (values.length > 0) yield values.shift() as T;
        if (over?.failed) throw over.reason;
        if (over) return;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
  };
}
