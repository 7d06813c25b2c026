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
import type { LeaseClock } from "./lease-clock.ts";
import type { LineKeeper, Lines } from "./open-lines.ts";
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

export interface Link {
  /** What the control plane allows. */
  limits(): Limits;
  /** Reports now, instead of at the next beat. */
  reportSoon(): void;
  /** Resolves when the link ends for good: after `close`, or with why this worker must not come back. */
  readonly over: Promise<LinkEnd>;
  close(): void;
}

export type LinkEnd = { reason: "closed" | "replaced" | "unauthenticated" | "upgrade-required"; message: string };

export interface LinkParts {
  lines: LineKeeper;
  lease: LeaseClock;
  log: Logger;
}

const FIRST_RETRY_MS = { min: 50, max: 200 };
// And never so long that a short lease ends while a worker waits: the control plane spares leases for two of them.
const RETRY_CAP_MS = 15_000;
// A stream that lived shorter is counted as broken by the network rather than by a control plane that stopped.
const SHORT_LIFE_MS = 10_000;
const BREAKS_BEFORE_SYNC = 4;

/**
 * Keeps a stream to the control plane: says Hello, reports, hears orders, and comes back with jitter when the stream
 * breaks. When streams break again and again it reports by single calls for a while.
 */
export function keepLink({ lines, lease, log }: LinkParts, events: LinkEvents): Link {
  const closing = new AbortController();
  const over = Promise.withResolvers<LinkEnd>();
  let limits = create(LimitsSchema, {});
  let current: Attendance | undefined;
  let reportEveryMs = 5_000;
  let leaseTtlMs = 20_000;
  let seq = 0n;
  let timer: NodeJS.Timeout | undefined;

  const welcome = (answer: Welcome, sentAtMs: number, fresh: boolean) => {
    limits = answer.limits ?? limits;
    if (answer.leaseTtl) leaseTtlMs = durationMs(answer.leaseTtl);
    if (answer.reportEvery) reportEveryMs = Math.max(100, durationMs(answer.reportEvery));
    events.session(answer, fresh);
    events.verdicts(answer.verdicts);
    lease.renewed(sentAtMs, leaseTtlMs);
  };
  const order = (message: AttendResponse["message"], sentAtMs: number | undefined, from: Attendance) => {
    switch (message.case) {
      case "renewed":
        events.verdicts(message.value.verdicts);
        if (sentAtMs !== undefined) lease.renewed(sentAtMs, leaseTtlMs);
        break;
      case "offer": {
        const answer = events.offer(message.value);
        const { leaseId } = message.value;
        from.say(
          answer === true
            ? { case: "accepted", value: { leaseId } as never }
            : { case: "declined", value: { leaseId, reason: answer } as never },
        );
        break;
      }
      case "stop":
        events.stop(message.value);
        break;
      case "drain":
        events.drain(message.value.reason);
        break;
      case "resume":
        events.resume();
        break;
      case "move":
        void move();
        break;
    }
  };
  const makeReport = async (): Promise<Report> => {
    const state = await events.report();
    seq += 1n;
    return create(ReportSchema, { ...state, seq });
  };
  const beat = async (): Promise<void> => {
    clearTimeout(timer);
    const report = await makeReport();
    current?.report(report, Math.max(1_000, 2 * reportEveryMs));
    clearTimeout(timer);
    timer = setTimeout(() => void beat(), reportEveryMs);
  };
  const open = async (to: Lines): Promise<Attendance> => {
    const hello = await events.hello();
    const stream: Attendance = attend(to.control, hello, {
      welcome: (answer, sentAtMs) => welcome(answer, sentAtMs, answer.sessionId !== hello.sessionId),
      order: (message, sentAtMs) => order(message, sentAtMs, stream),
    });
    return stream;
  };

  // Make before break: the old stream goes on until the new one is welcome.
  async function move(): Promise<void> {
    const to = lines.next();
    const before = current;
    const stream = await open(to);
    await stream.settled();
    if (!stream.welcomed || current !== before) {
      stream.close();
      to.control.close();
      to.bytes.close();
      return;
    }
    log.info({ to: to.target }, "moved to another control plane");
    current = stream;
    before?.close();
    lines.use(to);
  }

  async function life(): Promise<LinkEnd> {
    let breaks = 0;
    let tries = 0;
    while (!closing.signal.aborted) {
      const startedAtMs = performance.now();
      current = await open(lines.now);
      const ended = await follow();
      if (closing.signal.aborted) break;
      const end = endOf(ended.reason);
      if (end === "session-gone") {
        events.sessionGone();
        tries = 0;
        continue;
      }
      if (end) return end;
      if (ended.welcomed) tries = 0;
      breaks = performance.now() - startedAtMs > SHORT_LIFE_MS ? 0 : breaks + 1;
      log.debug({ reason: String(ended.reason), tries }, "the stream to the control plane broke");
      if (breaks >= BREAKS_BEFORE_SYNC && ended.welcomed) {
        breaks = 0;
        await syncUntil({ lines, lease, signal: closing.signal }, events, { makeReport, reportEveryMs, leaseTtlMs });
        continue;
      }
      await sleep(retryMs(tries++, Math.min(RETRY_CAP_MS, leaseTtlMs * 0.75)), closing.signal);
      lines.use(lines.next());
    }
    return { reason: "closed", message: "the worker left" };
  }

  // Follows whichever stream is the current one, across moves, until it breaks.
  async function follow(): Promise<{ reason: unknown; welcomed: boolean }> {
    for (;;) {
      const stream = current as Attendance;
      await stream.settled();
      if (stream.welcomed) void beat();
      const reason = await stream.over;
      if (stream !== current) continue;
      clearTimeout(timer);
      return { reason, welcomed: stream.welcomed };
    }
  }

  void life().then(over.resolve, (reason: unknown) => over.reject(reason));
  return {
    limits: () => limits,
    reportSoon: () => void (current?.welcomed && beat()),
    over: over.promise,
    close() {
      closing.abort();
      clearTimeout(timer);
      current?.close();
    },
  };
}

function retryMs(tries: number, capMs: number): number {
  if (tries === 0) return FIRST_RETRY_MS.min + Math.random() * (FIRST_RETRY_MS.max - FIRST_RETRY_MS.min);
  return Math.random() * Math.min(capMs, FIRST_RETRY_MS.max * 2 ** tries);
}

function endOf(reason: unknown): LinkEnd | "session-gone" | undefined {
  const refused = readRefusal(reason);
  const told = { message: refused.message };
  if (refused.reason === "SESSION_GONE") return "session-gone";
  if (refused.reason === "UPGRADE_REQUIRED") return { reason: "upgrade-required", ...told };
  if (refused.reason === "SUPERSEDED" || refused.reason === "WORKER_REPLACED") return { reason: "replaced", ...told };
  if (refused.code === status.UNAUTHENTICATED) return { reason: "unauthenticated", ...told };
  return undefined;
}
