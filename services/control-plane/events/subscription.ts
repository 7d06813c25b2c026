import type { Event } from "@ritmo/contract/ritmo/event/v1/event_pb.js";
import { Refusal } from "../../process/refusal.ts";
import type { Position } from "./position.ts";

// Small facts, shared between watchers: some megabytes for the slowest of them.
const MAX_WAITING = 5_000;

/** Events that are told together, and the position after them all: nobody goes on from the middle. */
export interface Page {
  events: Event[];
  position: Position;
}

/** What one watcher has not taken yet. Who feeds it never waits for it. */
export class Subscription {
  /** Everything up to here was fed; with nothing waiting, it is where the watcher stands. */
  position: Position;
  private pages: Page[] = [];
  private waiting = 0;
  private failure: { reason: unknown } | undefined;
  private wake: () => void = () => {};

  constructor(position: Position) {
    this.position = position;
  }

  /** Events and the position after them. Too many that nobody takes: the watcher gets SLOW_READER instead. */
  feed(events: Event[], position: Position): void {
    this.position = position;
    if (this.failure || events.length === 0) return;
    this.pages.push({ events, position });
    this.waiting += events.length;
    if (this.waiting > MAX_WAITING) {
      this.pages = [];
      this.fail(
        new Refusal(
          "resource_exhausted",
          "SLOW_READER",
          `over ${MAX_WAITING} events wait to be read; reconnect from the last cursor`,
        ),
      );
    }
    this.wake();
  }

  fail(reason: unknown): void {
    this.failure ??= { reason };
    this.wake();
  }

  /** The next page; without events where nothing waits. Throws what the subscription failed with. */
  take(): Page {
    if (this.failure) throw this.failure.reason;
    const page = this.pages.shift() ?? { events: [], position: this.position };
    this.waiting -= page.events.length;
    return page;
  }

  /** Resolves when there is something to take, after a time, or when the signal aborts. */
  ready(ms: number, signal: AbortSignal): Promise<void> {
    if (this.waiting > 0 || this.failure || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      signal.addEventListener("abort", done, { once: true });
      this.wake = done;
    });
  }
}
