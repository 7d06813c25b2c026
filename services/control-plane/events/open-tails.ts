import type { Logger } from "../../process/logger.ts";
import { Refusal } from "../../process/refusal.ts";
import { sleep } from "../../process/wait.ts";
import type { Hints } from "../store/hints.ts";
import type { Db } from "../store/open-database.ts";
import { isBefore, type Position } from "./position.ts";
import { type EventPage, readEnd, readEvents } from "./read-events.ts";
import { changedQueues, type QueueLength, queueEvent, readQueues } from "./read-queues.ts";
import { Subscription } from "./subscription.ts";
import { type Told, tellEvents } from "./tell-events.ts";

/** What a watcher wants of the tail. */
export interface Wanted {
  event(told: Told): boolean;
  queues: boolean;
}

export interface Joined extends Disposable {
  subscription: Subscription;
  /** The tail was here when the watcher joined: it is fed everything after. */
  from: Position;
}

/** The ends of the organizations' events: one reader each, however many watch. */
export interface Tails {
  join(orgId: string, wanted: Wanted): Promise<Joined>;
}

export interface TailDeps {
  db: Pick<Db, "sql">;
  hints: Pick<Hints, "on">;
  logger: Pick<Logger, "warn">;
}

const LIMIT = 500;
const POLL_MS = 1_000;
// Committed and not final: an older transaction is open, mostly for a moment; the longer, the more seldom we look.
const PENDING_MS = { first: 25, most: 400 };
// Hints of a burst become one reading.
const GATHER_MS = 15;
const QUEUE_MS = 1_000;
// Without any event in between, lengths are read this seldom: a row may leave the queue with its step's state unmoved.
const QUEUE_IDLE_MS = 10_000;
// As long as the database is away for less, watchers notice nothing.
const PATIENCE_MS = 5_000;
const RETRY_MS = 250;

export function openTails(deps: TailDeps): Tails {
  const tails = new Map<string, Tail>();
  return {
    async join(orgId, wanted) {
      let tail = tails.get(orgId);
      if (!tail) {
        tail = new Tail(deps, orgId, () => tails.delete(orgId));
        tails.set(orgId, tail);
      }
      return await tail.join(wanted);
    },
  };
}

/** Reads from the first watcher's coming to the last one's going. */
class Tail {
  private readonly deps: TailDeps;
  private readonly orgId: string;
  private readonly watchers = new Map<Subscription, Wanted>();
  private readonly over = new AbortController();
  private readonly started: Promise<void>;
  private position: Position = { life: 0n, xid: 0n, seq: 0 };
  private queues: ReadonlyMap<string, QueueLength> = new Map();
  private queuesReadAtMs = Number.NEGATIVE_INFINITY;
  private queuesDirty = true;
  private joining = 0;
  private pendingMs = PENDING_MS.first;
  private again = false;
  private wake: () => void = () => {};

  constructor(deps: TailDeps, orgId: string, onEnd: () => void) {
    this.deps = deps;
    this.orgId = orgId;
    this.over.signal.addEventListener("abort", onEnd, { once: true });
    this.started = this.start();
  }

  async join(wanted: Wanted): Promise<Joined> {
    this.joining++;
    try {
      await this.started;
    } finally {
      this.joining--;
    }
    const subscription = new Subscription(this.position);
    this.watchers.set(subscription, wanted);
    if (wanted.queues) this.tellQueues([subscription], [...this.queues.values()]);
    return {
      subscription,
      from: this.position,
      [Symbol.dispose]: () => {
        this.watchers.delete(subscription);
        if (this.watchers.size === 0 && this.joining === 0) this.over.abort();
      },
    };
  }

  private async start(): Promise<void> {
    try {
      this.position = await readEnd(this.deps.db.sql, this.orgId);
    } catch (reason) {
      this.over.abort();
      throw reason;
    }
    // One owner of the loop's end: it tells every watcher and makes room for a new tail.
    this.run().catch((reason: unknown) => {
      this.over.abort();
      for (const subscription of this.watchers.keys()) subscription.fail(reason);
    });
  }

  private async run(): Promise<void> {
    const off = this.deps.hints.on("events", this.orgId, () => {
      this.again = true;
      this.wake();
    });
    try {
      while (!this.over.signal.aborted) {
        this.again = false;
        const page = await this.patiently(() => this.readOn());
        await this.patiently(() => this.readQueuesWhenDue());
        if (page.more) continue;
        await sleep(GATHER_MS, this.over.signal);
        if (!this.again) await this.rest(page.pending ? this.pendingMs : this.pollMs());
        const held = page.pending && page.rows.length === 0;
        this.pendingMs = held ? Math.min(2 * this.pendingMs, PENDING_MS.most) : PENDING_MS.first;
      }
    } finally {
      off();
    }
  }

  private async readOn(): Promise<EventPage> {
    const { sql } = this.deps.db;
    const page = await readEvents(sql, this.orgId, { after: this.position, limit: LIMIT });
    const told = await tellEvents(sql, page);
    this.position = page.position;
    if (told.some(({ kind }) => kind === "step")) this.queuesDirty = true;
    for (const [subscription, wanted] of this.watchers) {
      const events = told.filter((one) => wanted.event(one)).map((one) => one.event);
      subscription.feed(events, page.position);
    }
    return page;
  }

  private async readQueuesWhenDue(): Promise<void> {
    if (![...this.watchers.values()].some((wanted) => wanted.queues)) return;
    const age = performance.now() - this.queuesReadAtMs;
    if (age < (this.queuesDirty ? QUEUE_MS : QUEUE_IDLE_MS)) return;
    this.queuesDirty = false;
    this.queuesReadAtMs = performance.now();
    const now = await readQueues(this.deps.db.sql, this.orgId);
    const changed = changedQueues(this.queues, now);
    this.queues = now;
    const listening = [...this.watchers].filter(([, wanted]) => wanted.queues).map(([subscription]) => subscription);
    this.tellQueues(listening, changed);
  }

  // Lengths have no place among the events; each watcher gives them the one that it has reached.
  private tellQueues(subscriptions: Subscription[], queues: QueueLength[]): void {
    const events = queues.map((queue) => queueEvent(queue, new Date()));
    for (const subscription of subscriptions) subscription.feed(events, this.position);
  }

  /** Until the queues are next to be looked at, at most. */
  private pollMs(): number {
    if (!this.queuesDirty) return POLL_MS;
    return Math.min(POLL_MS, Math.max(1, this.queuesReadAtMs + QUEUE_MS - performance.now()));
  }

  private async rest(ms: number): Promise<void> {
    const woken = new AbortController();
    this.wake = () => woken.abort();
    await sleep(ms, AbortSignal.any([woken.signal, this.over.signal]));
  }

  private async patiently<T>(read: () => Promise<T>): Promise<T> {
    const until = performance.now() + PATIENCE_MS;
    for (;;) {
      try {
        return await read();
      } catch (reason) {
        const lasting = reason instanceof Refusal || performance.now() > until;
        if (lasting || this.over.signal.aborted) throw reason;
        this.deps.logger.warn({ err: reason }, "reading events failed; trying again");
        await sleep(RETRY_MS, this.over.signal);
      }
    }
  }
}

/** Whether an event is one that a watcher at a position has not seen. */
export function isAfter(told: Pick<Told, "position">, position: Position): boolean {
  return isBefore(position, told.position);
}
