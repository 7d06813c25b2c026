import { getEventListeners } from "node:events";
import { expect, test } from "vitest";
import { pushable } from "../../process/pushable.ts";
import { untilAborted } from "./until-aborted.ts";

test("all values come, and none of them leaves anything with the signal", async () => {
  const { signal } = new AbortController();
  const source = pushable<number>();
  for (let i = 0; i < 100; i++) source.push(i);
  source.end();
  const seen: number[] = [];
  for await (const value of untilAborted(source, signal)) seen.push(value);
  expect(seen).toHaveLength(100);
  expect(getEventListeners(signal, "abort")).toEqual([]);
});

test("an abort ends it while nothing comes; a failure of the source is told, before and not after", async () => {
  const over = new AbortController();
  const silent = pushable<number>();
  const ended = untilAborted(silent, over.signal).next();
  over.abort();
  expect(await ended).toEqual({ done: true, value: undefined });
  silent.fail(new Error("too late to matter"));
  const broken = pushable<number>();
  const failed = untilAborted(broken, new AbortController().signal).next();
  broken.fail(new Error("broken"));
  await expect(failed).rejects.toThrow("broken");
});
