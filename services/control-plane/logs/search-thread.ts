import { setImmediate } from "node:timers/promises";
import { parentPort } from "node:worker_threads";
import { compilePattern, type SearchPattern } from "./line-matcher.ts";
import { type Hit, LineSearcher, type SearchStart } from "./line-searcher.ts";
import { unpackChunk } from "./unpack-chunk.ts";

/** What the pool asks of its thread; every message is answered by one of the same search. */
export type SearchOrder =
  | { search: number; order: "open"; pattern: SearchPattern; start: SearchStart; cancelled: SharedArrayBuffer }
  | { search: number; order: "feed"; codec: number; data: Uint8Array; rawLength: number; skip: number; last: boolean }
  | { search: number; order: "close" };

export type SearchAnswer =
  | { search: number; answer: "opened" }
  | { search: number; answer: "invalid"; message: string }
  | { search: number; answer: "broken"; message: string }
  | { search: number; answer: "fed"; hits: Hit[]; searched: number; full: boolean };

// Between two of them other searches get their turn, and a cancelled one ends.
const SLICE_BYTES = 64 * 1024;

interface Search {
  searcher: LineSearcher;
  cancelled: Int32Array;
}

const searches = new Map<number, Search>();

parentPort?.on("message", (order: SearchOrder) => {
  void obey(order)
    .catch((reason: unknown) => ({ search: order.search, answer: "broken" as const, message: String(reason) }))
    .then((answer) => answer && parentPort?.postMessage(answer));
});

async function obey(order: SearchOrder): Promise<SearchAnswer | undefined> {
  if (order.order === "close") {
    searches.delete(order.search);
    return undefined;
  }
  return order.order === "open" ? open(order) : feed(order);
}

function open({ search, pattern, start, cancelled }: Extract<SearchOrder, { order: "open" }>): SearchAnswer {
  try {
    const searcher = new LineSearcher(compilePattern(pattern), start);
    searches.set(search, { searcher, cancelled: new Int32Array(cancelled) });
    return { search, answer: "opened" };
  } catch (reason) {
    return { search, answer: "invalid", message: (reason as Error).message };
  }
}

async function feed(order: Extract<SearchOrder, { order: "feed" }>): Promise<SearchAnswer> {
  const { search, codec, data, rawLength, skip, last } = order;
  const open = searches.get(search);
  if (!open) return { search, answer: "broken", message: "no such search" };
  const { searcher, cancelled } = open;
  const bytes = (await unpackChunk(codec, data, rawLength)).subarray(skip);
  const hits: Hit[] = [];
  for (let at = 0; !searcher.full && Atomics.load(cancelled, 0) === 0; at += SLICE_BYTES) {
    const end = at + SLICE_BYTES;
    hits.push(...searcher.feed(bytes.subarray(at, end), last && end >= bytes.length));
    if (end >= bytes.length) break;
    await setImmediate();
  }
  return { search, answer: "fed", hits, searched: searcher.searched, full: searcher.full };
}
