import { create } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import { status } from "@grpc/grpc-js";
import {
  type AttendResponse,
  type Hello,
  type Limits,
  LimitsSchema,
  type Offer,
  type Report,
  ReportSchema,
  type StopStep,
  type Verdict,
  type Welcome,
} from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import type { Logger } from "../../process/logger.ts";
import { sleep } from "../../process/wait.ts";
import { type Attendance, attend } from "./attend.ts";
import { displacement } from "./displacement.ts";
import type { LeaseClock } from "./lease-clock.ts";
import type { LineKeeper, Lines } from "./open-lines.ts";
import { readEnd, type StreamEnd } from "./read-end.ts";
import { readRefusal } from "./read-refusal.ts";
import { syncUntil } from "./sync.ts";

/** What the worker does about what it hears. */
export interface LinkEvents {
  hello(): Promise<Hello>;
  report(): Promise<Omit<Report, "seq" | "$typeName">>;
  /** True accepts; otherwise why not. */
  offer(offer: Offer): true | string;
  stop(order: StopStep): void;
  verdicts(verdicts: Verdict[]): void;
  drain(reason: string): void;
  resume(): void;
  /** A session was given or went on; `fresh` when it is not the one that Hello named. */
  session(welcome: Welcome, fresh: boolean): void;
  /** The session is over, and every lease with it. */
  sessionGone(): void;
}

/** Why a worker's link ended for good. */
export interface LinkEnd {
  reason: "closed" | "replaced" | "unauthenticated" | "upgrade-required";
  message: string;
}

export interface Link {
  /** What the control plane allows. */
  limits(): Limits;
  /** Reports now, instead of at the next beat. */
  reportSoon(): void;
  /** Resolves when the link ends for good: after `close`, or with why this worker must not come back. */
  readonly over: Promise<LinkEnd>;
  close(): void;
}

export interface LinkParts {
  lines: LineKeeper;
  lease: LeaseClock;
  log: Logger;
}

const FIRST_RETRY_MS = { min: 50, max: 200 };
// Wide, so that of two processes that do so one is there before the other; and late Hellos are through by then.
const RETURN_MS = { min: 200, max: 1_000 };
// And never so long that a short lease ends while a worker waits: the control plane spares leases for two of them.
const RETRY_CAP_MS = 15_000;
// A stream that lived shorter is counted as broken by the network rather than by a control plane that stopped.
const SHORT_LIFE_MS = 10_000;
// As grpc-js says it.
const NEVER_SENT = /^(No connection established|Name resolution failed)/;
const TOLD_TRIES = 10;
const BREAKS_BEFORE_SYNC = 4;
const MIN_REPORT_EVERY_MS = 100;
const MIN_PATIENCE_MS = 1_000;

/**
 * Keeps a stream to the control plane: says Hello, reports, hears orders, and comes back with jitter when the stream
 * breaks. When streams break again and again it reports by single calls for a while.
 */
export function keepLink(parts: LinkParts, events: LinkEvents): Link {
  return new KeptLink(parts, events);
}

class KeptLink implements Link {
  readonly over: Promise<LinkEnd>;
  readonly #lines: LineKeeper;
  readonly #lease: LeaseClock;
  readonly #log: Logger;
  readonly #events: LinkEvents;
  readonly #closing = new AbortController();
  readonly #displacement = displacement();
  #limits = create(LimitsSchema, {});
  #current: Attendance | undefined;
  #reportEveryMs = 5_000;
  #leaseTtlMs = 20_000;
  #seq = 0n;
  #timer: NodeJS.Timeout | undefined;
  #moving: Promise<void> | undefined;

  constructor({ lines, lease, log }: LinkParts, events: LinkEvents) {
    this.#lines = lines;
    this.#lease = lease;
    this.#log = log;
    this.#events = events;
    this.over = this.#live();
  }

  limits(): Limits {
    return this.#limits;
  }

  reportSoon(): void {
    if (this.#current?.welcomed) void this.#beat();
  }

  close(): void {
    this.#closing.abort();
    clearTimeout(this.#timer);
    this.#current?.close();
  }

  async #live(): Promise<LinkEnd> {
    let breaks = 0;
    let tries = 0;
    while (!this.#closing.signal.aborted) {
      const startedAtMs = performance.now();
      this.#current = await this.#open(this.#lines.now);
      // Closed while Hello was made: there was no stream yet that could have been.
      if (this.#closing.signal.aborted) this.#current.close();
      const { reason, welcomed } = await this.#follow();
      if (this.#closing.signal.aborted) break;
      const end = readEnd(reason);
      if (end === "session-gone") {
        this.#events.sessionGone();
        tries = 0;
        continue;
      }
      if (end && (await this.#mayReturn(end))) continue;
      if (end) return { reason: end.reason, message: end.message };
      if (welcomed) tries = 0;
      breaks = performance.now() - startedAtMs > SHORT_LIFE_MS ? 0 : breaks + 1;
      this.#tellBreak(reason, welcomed, tries);
      if (breaks >= BREAKS_BEFORE_SYNC && welcomed) {
        breaks = 0;
        await this.#syncForAWhile();
        continue;
      }
      await sleep(retryMs(tries++, Math.min(RETRY_CAP_MS, this.#leaseTtlMs * 0.75)), this.#closing.signal);
      this.#lines.use(this.#lines.next());
    }
    return { reason: "closed", message: "the worker left" };
  }

  /** True when what took this worker's place may have been a Hello of its own; then it is time to come back. */
  async #mayReturn({ lost, message }: StreamEnd): Promise<boolean> {
    if (!lost || this.#displacement.isRival(lost)) return false;
    this.#log.info({ reason: message }, "displaced, perhaps by an earlier call of its own; coming back");
    if (lost === "session") this.#events.sessionGone();
    await sleep(RETURN_MS.min + Math.random() * (RETURN_MS.max - RETURN_MS.min), this.#closing.signal);
    return true;
  }

  /** A wrong address is silent otherwise: the first try that fails is told, and then one in ten. */
  #tellBreak(reason: unknown, welcomed: boolean, tries: number): void {
    const about = { to: this.#lines.now.target, reason: String(reason), tries };
    if (!welcomed && tries % TOLD_TRIES === 0)
      this.#log.warn(about, "the control plane is not to be reached; trying again");
    else this.#log.debug(about, "the stream to the control plane broke");
  }

  async #open(to: Lines): Promise<Attendance> {
    const hello = await this.#events.hello();
    const stream: Attendance = attend(to.control, hello, {
      welcome: (welcome, sentAtMs) => this.#welcome(welcome, sentAtMs, welcome.sessionId !== hello.sessionId),
      order: (message, sentAtMs) => this.#order(message, sentAtMs, stream),
    });
    void stream.over.then((failure) => {
      const { code, reason, message } = readRefusal(failure);
      // A control plane that lost its database in between may have displaced the stream before, and says only that.
      const answered = stream.welcomed || (reason !== "" && code !== status.UNAVAILABLE);
      if (!answered && !NEVER_SENT.test(message)) this.#displacement.helloLost(hello.sessionId === "");
    });
    return stream;
  }

  /** Follows whichever stream is the current one, across moves, until it breaks. */
  async #follow(): Promise<{ reason: unknown; welcomed: boolean }> {
    for (;;) {
      const stream = this.#current as Attendance;
      await stream.settled();
      if (stream.welcomed) void this.#beat();
      const reason = await stream.over;
      // A stream that is opened elsewhere supersedes this one, and this one may hear of it first.
      await this.#moving;
      if (stream !== this.#current) continue;
      clearTimeout(this.#timer);
      return { reason, welcomed: stream.welcomed };
    }
  }

  #welcome(welcome: Welcome, sentAtMs: number, fresh: boolean): void {
    this.#limits = welcome.limits ?? this.#limits;
    if (welcome.leaseTtl) this.#leaseTtlMs = durationMs(welcome.leaseTtl);
    if (welcome.reportEvery) this.#reportEveryMs = Math.max(MIN_REPORT_EVERY_MS, durationMs(welcome.reportEvery));
    this.#events.session(welcome, fresh);
    this.#events.verdicts(welcome.verdicts);
    this.#lease.renewed(sentAtMs, this.#leaseTtlMs);
  }

  #order(message: AttendResponse["message"], sentAtMs: number | undefined, from: Attendance): void {
    switch (message.case) {
      case "renewed":
        // First what is lost, then that the rest may be published again.
        this.#events.verdicts(message.value.verdicts);
        if (sentAtMs !== undefined) this.#lease.renewed(sentAtMs, this.#leaseTtlMs);
        break;
      case "offer":
        this.#answerOffer(message.value, from);
        break;
      case "stop":
        this.#events.stop(message.value);
        break;
      case "drain":
        this.#events.drain(message.value.reason);
        break;
      case "resume":
        this.#events.resume();
        break;
      case "move":
        this.#moving ??= this.#move().finally(() => {
          this.#moving = undefined;
        });
        break;
    }
  }

  #answerOffer(offer: Offer, from: Attendance): void {
    const { leaseId } = offer;
    const answer = this.#events.offer(offer);
    if (answer === true) from.say({ case: "accepted", value: { leaseId } as never });
    else from.say({ case: "declined", value: { leaseId, reason: answer } as never });
  }

  // Make before break: the old stream goes on until the new one is welcome.
  async #move(): Promise<void> {
    const to = this.#lines.next();
    const before = this.#current;
    const stream = await this.#open(to);
    await stream.settled();
    if (!stream.welcomed || this.#current !== before || this.#closing.signal.aborted) {
      stream.close();
      to.control.close();
      to.bytes.close();
      return;
    }
    this.#log.info({ to: to.target }, "moved to another control plane");
    this.#current = stream;
    before?.close();
    this.#lines.use(to);
  }

  async #beat(): Promise<void> {
    clearTimeout(this.#timer);
    const report = await this.#makeReport();
    this.#current?.report(report, Math.max(MIN_PATIENCE_MS, 2 * this.#reportEveryMs));
    clearTimeout(this.#timer);
    if (!this.#closing.signal.aborted) this.#timer = setTimeout(() => void this.#beat(), this.#reportEveryMs);
  }

  async #makeReport(): Promise<Report> {
    const state = await this.#events.report();
    this.#seq += 1n;
    return create(ReportSchema, { ...state, seq: this.#seq });
  }

  async #syncForAWhile(): Promise<void> {
    this.#log.info("streams break again and again; reporting by single calls for a while");
    await syncUntil({ lines: this.#lines, lease: this.#lease, signal: this.#closing.signal }, this.#events, {
      makeReport: () => this.#makeReport(),
      reportEveryMs: this.#reportEveryMs,
      leaseTtlMs: this.#leaseTtlMs,
    });
  }
}

function retryMs(tries: number, capMs: number): number {
  if (tries === 0) return FIRST_RETRY_MS.min + Math.random() * (FIRST_RETRY_MS.max - FIRST_RETRY_MS.min);
  return Math.random() * Math.min(capMs, FIRST_RETRY_MS.max * 2 ** tries);
}
