/**
 * What an iterable brings, until there is no more or the signal aborts: a worker that never closes its side holds up
 * nothing. Leaves nothing behind with each value, however long it goes on.
 */
export async function* untilAborted<T>(source: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T> {
  const iterator = source[Symbol.asyncIterator]();
  while (!signal.aborted) {
    const next = await unlessAborted(iterator.next(), signal);
    if (!next || next.done) return;
    yield next.value;
  }
}

// Not Promise.race with one promise for the abort: every race would stay with that promise for the stream's life.
function unlessAborted<T>(coming: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    const stop = () => resolve(undefined);
    signal.addEventListener("abort", stop, { once: true });
    const done = () => signal.removeEventListener("abort", stop);
    coming.then(resolve, reject).finally(done);
  });
}
