import { expect, test } from "vitest";
import { inBatches } from "./in-batches.ts";

const fulfilled = <T>(value: T): PromiseSettledResult<T> => ({ status: "fulfilled", value });

test("what comes while a batch is under way goes into the next one, and each call gets its own answer", async () => {
  const batches: number[][] = [];
  let release = () => {};
  const double = inBatches<number, number>(
    async (batch) => {
      batches.push(batch);
      if (batches.length === 1) await new Promise<void>((resolve) => (release = resolve));
      return batch.map((n) => (n < 0 ? { status: "rejected", reason: new Error(String(n)) } : fulfilled(n * 2)));
    },
    { maxBatch: 3 },
  );
  const first = double(1);
  await expect.poll(() => batches.length).toBe(1);
  const rest = Promise.allSettled([2, -3, 4, 5].map(double));
  release();
  expect(await first).toBe(2);
  expect(await rest).toMatchObject([
    { value: 4 },
    { status: "rejected", reason: { message: "-3" } },
    { value: 8 },
    { value: 10 },
  ]);
  expect(batches).toEqual([[1], [2, -3, 4], [5]]);
});

test("a batch that fails is tried one by one, so that only who is at fault fails", async () => {
  const half = inBatches<number, number>(
    async (batch) => {
      if (batch.includes(13)) throw new Error("unlucky");
      return batch.map((n) => fulfilled(n / 2));
    },
    { maxBatch: 10, atOnce: 2 },
  );
  const [a, b, c] = await Promise.allSettled([4, 13, 8].map(half));
  expect(a).toMatchObject({ value: 2 });
  expect(b).toMatchObject({ status: "rejected", reason: { message: "unlucky" } });
  expect(c).toMatchObject({ value: 4 });
});

test("a batch that fails for what each would meet fails at once, and only then", async () => {
  const runs: number[] = [];
  const away = inBatches<number, number>(
    async (batch) => {
      runs.push(batch.length);
      throw new Error(batch.includes(13) ? "unlucky" : "away");
    },
    { maxBatch: 3, failsAll: (reason) => reason instanceof Error && reason.message === "away" },
  );
  const reasons = (ends: PromiseSettledResult<number>[]) =>
    ends.map((end) => end.status === "rejected" && (end.reason as Error).message);
  expect(reasons(await Promise.allSettled([1, 2, 3].map(away)))).toEqual(["away", "away", "away"]);
  expect(runs).toEqual([3]);
  expect(reasons(await Promise.allSettled([1, 13].map(away)))).toEqual(["away", "unlucky"]);
  expect(runs).toEqual([3, 2, 1, 1]);
});
