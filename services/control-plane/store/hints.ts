import { EventEmitter } from "node:events";
import postgres from "postgres";
import type { Logger } from "../../process/logger.ts";
import { sleep } from "../../process/wait.ts";
import { reconnectSeconds } from "./open-database.ts";

/** What a hint is about: `queue` a pool, `plan` nothing more, `session` a session, `log` an attempt, `events` an organization. */
export type Topic = "queue" | "plan" | "session" | "log" | "events";

/**
 * Wake-ups between replicas over NOTIFY. A hint carries no facts and may be lost: whoever waits also looks by itself
 * from time to time.
 */
export interface Hints {
  /** Tells everyone, this process at once. The first of a burst leaves at once, the rest as one 50 ms later. */
  send(topic: Topic, key?: string): void;
  /** Resolves at the next hint for the topic and key, after `ms`, or when the signal aborts. */
  wait(topic: Topic, key: string, ms: number, signal?: AbortSignal): Promise<void>;
  /** Calls back at every hint for the topic and key, until the answer is called. */
  on(topic: Topic, key: string, call: () => void): () => void;
  close(): Promise<void>;
}

const CHANNEL = "ritmo";
const GATHER_MS = 50;
const HEARTBEAT_MS = 10_000;
// Well below the 8,000 bytes that NOTIFY takes.
const MAX_PAYLOAD_BYTES = 7_000;

export function openHints(url: string, logger: Logger): Hints {
  const bus = new EventEmitter().setMaxListeners(0);
  const closing = new AbortController();
  const own = Math.random().toString(36).slice(2);
  const client = postgres(url, {
    max: 2,
    connect_timeout: 5,
    backoff: reconnectSeconds,
    onnotice: () => {},
    connection: { application_name: "ritmo hints" },
  });
  let pending = new Set<string>();
  let timer: NodeJS.Timeout | undefined;
  let heard = Date.now();

  const flush = () => {
    const topics = [...pending];
    pending = new Set();
    for (const payload of pack(own, topics)) {
      client
        .notify(CHANNEL, payload)
        .catch((reason: unknown) => logger.debug({ err: reason }, "a hint was lost; polling goes on"));
    }
  };
  const listening = client
    .listen(CHANNEL, (payload) => {
      heard = Date.now();
      const [from, ...names] = payload.split(" ");
      if (from !== own) for (const name of names) bus.emit(name);
    })
    .catch((reason: unknown) => logger.warn({ err: reason }, "can't listen for hints; polling goes on"));
  const beat = heartbeat();

  async function heartbeat() {
    while (!closing.signal.aborted) {
      await sleep(HEARTBEAT_MS, closing.signal);
      if (closing.signal.aborted) return;
      if (Date.now() - heard > 3 * HEARTBEAT_MS)
        logger.warn({ silentMs: Date.now() - heard }, "no hint came back; polling goes on");
      await client.notify(CHANNEL, "beat").catch(() => {});
    }
  }

  return {
    send(topic, key = "") {
      const name = `${topic}:${key}`;
      bus.emit(name);
      if (closing.signal.aborted) return;
      pending.add(name);
      if (timer) return;
      flush();
      timer = setTimeout(() => {
        timer = undefined;
        if (pending.size > 0) flush();
      }, GATHER_MS);
    },
    wait(topic, key, ms, signal) {
      return new Promise<void>((resolve) => {
        if (signal?.aborted) return resolve();
        const name = `${topic}:${key}`;
        const done = () => {
          clearTimeout(timeout);
          bus.off(name, done);
          signal?.removeEventListener("abort", done);
          resolve();
        };
        const timeout = setTimeout(done, ms);
        bus.once(name, done);
        signal?.addEventListener("abort", done, { once: true });
      });
    },
    on(topic, key, call) {
      const name = `${topic}:${key}`;
      bus.on(name, call);
      return () => bus.off(name, call);
    },
    async close() {
      closing.abort();
      clearTimeout(timer);
      await Promise.allSettled([listening, beat]);
      await client.end({ timeout: 2 });
    },
  };
}

function* pack(own: string, names: string[]): Generator<string> {
  let payload = own;
  for (const name of names) {
    if (payload.length + name.length + 1 > MAX_PAYLOAD_BYTES) {
      yield payload;
      payload = own;
    }
    payload += ` ${name}`;
  }
  if (payload !== own) yield payload;
}
