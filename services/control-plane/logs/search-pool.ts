import { Worker } from "node:worker_threads";
import { Refusal } from "../../process/refusal.ts";
import type { SearchPattern } from "./line-matcher.ts";
import type { Hit, SearchStart } from "./line-searcher.ts";
import type { LogPiece } from "./log-source.ts";
import type { SearchAnswer, SearchOrder } from "./search-thread.ts";

export interface Fed {
  hits: Hit[];
  searched: number;
  full: boolean;
}

/** One search under way. Close it, however it ends. */
export interface OpenSearch {
  /** Searches a piece, from so many bytes of it on. */
  feed(piece: Pick<LogPiece, "codec" | "data" | "rawLength">, skip: number, last: boolean): Promise<Fed>;
  close(): void;
}

export interface SearchPool {
  /** Errors: INVALID_ARGUMENT (PATTERN_INVALID), with what RE2 says of the expression. */
  open(pattern: SearchPattern, start: SearchStart): Promise<OpenSearch>;
}

const THREADS = 2;
// A cancelled search looks up between slices; one that does not is ended with its thread.
const CANCEL_MS = 5_000;
const HEAP_MIB = 256;

interface Thread {
  worker: Worker;
  waiting: Map<number, { resolve(answer: SearchAnswer): void; reject(reason: unknown): void }>;
  searches: number;
}

/** Threads for searching, started at the first search, so that no expression holds up the event loop. */
export function searchPool(): SearchPool {
  const threads: Thread[] = [];
  let searches = 0;
  const pick = () => {
    const idle = threads.find((thread) => thread.searches === 0);
    if (idle) return idle;
    if (threads.length < THREADS) return start();
    return threads.reduce((least, thread) => (thread.searches < least.searches ? thread : least));
  };
  const start = () => {
    const thread = startThread(() => threads.splice(threads.indexOf(thread), 1));
    threads.push(thread);
    return thread;
  };
  return {
    async open(pattern, startAt) {
      const search = ++searches;
      const thread = pick();
      const cancelled = new SharedArrayBuffer(4);
      thread.searches++;
      const close = once(() => end(thread, search, cancelled));
      try {
        const opened = await ask(thread, { search, order: "open", pattern, start: startAt, cancelled });
        if (opened.answer === "invalid") throw patternInvalid(opened.message);
      } catch (reason) {
        close();
        throw reason;
      }
      return {
        async feed({ codec, data, rawLength }, skip, last) {
          // A copy of its own is handed over; a view would take all that it is a view of.
          const own = new Uint8Array(data);
          const answer = await ask(thread, { search, order: "feed", codec, data: own, rawLength, skip, last }, [
            own.buffer,
          ]);
          if (answer.answer === "fed") return answer;
          throw new Error(answer.answer === "broken" ? answer.message : "the search was not opened");
        },
        close,
      };
    },
  };
}

function startThread(gone: () => void): Thread {
  const worker = new Worker(new URL("./search-thread.ts", import.meta.url), {
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MIB },
    execArgv: [],
  });
  const thread: Thread = { worker, waiting: new Map(), searches: 0 };
  worker.on("message", (answer: SearchAnswer) => {
    thread.waiting.get(answer.search)?.resolve(answer);
    thread.waiting.delete(answer.search);
  });
  const fail = () => {
    gone();
    for (const { reject } of thread.waiting.values()) reject(interrupted());
    thread.waiting.clear();
  };
  worker.on("error", fail);
  worker.on("exit", fail);
  // Searching keeps no process alive.
  worker.unref();
  return thread;
}

/** One question of a search at a time; its answer is known by the search. */
function ask(thread: Thread, order: SearchOrder, handedOver: ArrayBuffer[] = []): Promise<SearchAnswer> {
  return new Promise((resolve, reject) => {
    thread.waiting.set(order.search, { resolve, reject });
    thread.worker.postMessage(order, handedOver);
  });
}

function end(thread: Thread, search: number, cancelled: SharedArrayBuffer): void {
  thread.searches--;
  Atomics.store(new Int32Array(cancelled), 0, 1);
  thread.worker.postMessage({ search, order: "close" } satisfies SearchOrder);
  if (!thread.waiting.has(search)) return;
  setTimeout(() => {
    if (thread.waiting.has(search)) void thread.worker.terminate();
  }, CANCEL_MS).unref();
}

function once(run: () => void): () => void {
  let ran = false;
  return () => {
    if (!ran) run();
    ran = true;
  };
}

function patternInvalid(message: string): Refusal {
  return new Refusal("invalid_argument", "PATTERN_INVALID", `regex: ${message}`, {
    violations: [{ field: "regex", description: message }],
  });
}

function interrupted(): Refusal {
  return new Refusal("unavailable", "SEARCH_INTERRUPTED", "the search was interrupted; search again");
}
