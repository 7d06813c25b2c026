/**
 * Makes one function of single calls out of one of batches: what is asked while a batch is under way goes into the
 * next one together, as a database does with commits. A call alone starts at once. When a whole batch fails, each of
 * its calls is tried by itself, so that none fails for another's sake; unless `failsAll` knows the reason for one that
 * each would meet, such as a database that is away: then all fail with it at once.
 */
export function inBatches<T, R>(
  run: (batch: T[]) => Promise<PromiseSettledResult<R>[]>,
  {
    maxBatch,
    atOnce = 1,
    failsAll = () => false,
  }: { maxBatch: number; atOnce?: number; failsAll?: (reason: unknown) => boolean },
): (item: T) => Promise<R> {
  let waiting: { item: T; resolve(value: R): void; reject(reason: unknown): void }[] = [];
  let running = 0;
  const attempt = async (batch: typeof waiting): Promise<void> => {
    try {
      const answers = await run(batch.map(({ item }) => item));
      for (const [i, answer] of answers.entries()) {
        if (answer.status === "fulfilled") batch[i]?.resolve(answer.value);
        else batch[i]?.reject(answer.reason);
      }
    } catch (reason) {
      if (batch.length === 1 || failsAll(reason)) for (const { reject } of batch) reject(reason);
      else await attemptEach(batch);
    }
  };
  const attemptEach = async (batch: typeof waiting): Promise<void> => {
    for (const one of batch) await attempt([one]);
  };
  const next = () => {
    while (running < atOnce && waiting.length > 0) {
      running++;
      const batch = waiting.slice(0, maxBatch);
      waiting = waiting.slice(maxBatch);
      void attempt(batch).then(() => {
        running--;
        next();
      });
    }
  };
  return (item) =>
    new Promise<R>((resolve, reject) => {
      waiting.push({ item, resolve, reject });
      // Those that come in the same turn of the loop go together.
      if (waiting.length === 1) setImmediate(next);
    });
}
