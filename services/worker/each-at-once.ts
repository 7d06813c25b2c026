/** Does the work for each, so many at once; the first failure ends it when those under way have ended. */
export async function eachAtOnce<T>(items: T[], atOnce: number, work: (item: T) => Promise<void>): Promise<void> {
  const left = items[Symbol.iterator]();
  let failed = false;
  const run = async () => {
    for (const item of left) {
      if (failed) return;
      try {
        await work(item);
      } catch (reason) {
        failed = true;
        throw reason;
      }
    }
  };
  const results = await Promise.allSettled(Array.from({ length: atOnce }, run));
  for (const result of results) if (result.status === "rejected") throw result.reason;
}
