import { join } from "node:path";
import { LogKind } from "@ritmo/contract/ritmo/log/v1/log_pb.js";
import type { Limits } from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import { GRACE_MS, type Hand } from "./hand.ts";
import type { LeaseClock } from "./link/lease-clock.ts";
import type { LineKeeper } from "./link/open-lines.ts";
import { AttemptLog, type LogEnd } from "./log/attempt-log.ts";
import { LogRefused, Shipper } from "./log/ship-log.ts";
import { recoverSpool, Spool, type SpoolBudget } from "./log/spool.ts";
import type { Folders } from "./workspace/make-folders.ts";

export interface LogParts {
  lines: LineKeeper;
  lease: LeaseClock;
  limits(): Limits;
  budget: SpoolBudget;
  diskFullMs: number;
}

/** The two logs of an attempt, on their way to the control plane. */
export interface AttemptLogs {
  /** What the commands write, and nothing else. */
  step: AttemptLog;
  /** Adds a line to the log of the preparation. */
  tell(line: string): void;
  /** Adds bytes that a tool of the preparation wrote. */
  prepare: AttemptLog;
  /** Writes the rest to the spools and answers where the logs end, and whether that is all that was written. */
  end(): Promise<{ step: LogEnd; prepare: LogEnd; whole: boolean }>;
  /** Resolves when both are durable at the control plane up to there. */
  delivered(step: number, prepare: number): Promise<void>;
  close(): Promise<void>;
}

// Made once: an abort without a reason takes a picture of the stack every time.
const CLOSED = new Error("the log was closed");
const DEFAULT_MAX_LOG_BYTES = 1024 ** 3;

/** Opens the logs of a new attempt. Nothing is written or sent until there is something. */
export async function openAttemptLogs(parts: LogParts, hand: Hand, folders: Folders): Promise<AttemptLogs> {
  return logsOver(parts, hand, {
    step: new Spool(join(folders.root, "step-log"), parts.budget),
    prepare: new Spool(join(folders.root, "prepare-log"), parts.budget),
  });
}

/** Opens what an earlier life of this worker left in the spools; `durable` is how far the control plane has it. */
export async function recoverAttemptLogs(
  parts: LogParts,
  hand: Hand,
  folders: Folders,
  durable: { step: number; prepare: number },
): Promise<AttemptLogs> {
  const [step, prepare] = await Promise.all([
    recoverSpool(join(folders.root, "step-log"), parts.budget, durable.step),
    recoverSpool(join(folders.root, "prepare-log"), parts.budget, durable.prepare),
  ]);
  return logsOver(parts, hand, { step, prepare }, durable);
}

function logsOver(
  parts: LogParts,
  hand: Hand,
  spools: { step: Spool; prepare: Spool },
  durable?: { step: number; prepare: number },
): AttemptLogs {
  const { budget, diskFullMs, lines, lease, limits } = parts;
  const closing = new AbortController();
  const signal = AbortSignal.any([closing.signal, hand.dropped]);
  const maxBytes = Number(limits().maxLogBytes) || DEFAULT_MAX_LOG_BYTES;
  const logOf = (spool: Spool, scanMarks: boolean) =>
    new AttemptLog({ spool, budget, maxBytes, diskFullMs, scanMarks });
  const step = logOf(spools.step, true);
  const prepare = logOf(spools.prepare, false);
  const ship = (kind: LogKind, log: AttemptLog, spool: Spool, from: number | undefined): Shipper =>
    new Shipper({ leaseId: hand.leaseId, kind, grown: log.grown, spool, lines, lease, limits, from, signal, refused });
  let refusal: Error | undefined;
  const refused = (reason: Error) => {
    refusal ??= reason;
    if (reason instanceof LogRefused && reason.refused.reason === "LEASE_LOST") hand.drop("the lease is lost");
    else hand.end({ kind: "log refused", reason: reason.message, graceMs: GRACE_MS });
  };
  const shippers = {
    step: ship(LogKind.STEP, step, spools.step, durable?.step),
    prepare: ship(LogKind.PREPARE, prepare, spools.prepare, durable?.prepare),
  };
  hand.onTold = (stepOffset, prepareOffset) => {
    shippers.step.told(stepOffset);
    shippers.prepare.told(prepareOffset);
  };
  hand.onSpooled = () => spools.step.end;
  return {
    step,
    prepare,
    tell: (line) => prepare.append(Buffer.from(`${line}\n`)),
    async end() {
      const [stepEnd, prepareEnd] = await Promise.all([step.end(), prepare.end()]);
      // A log that a full disk ended is shorter than what its digest is of.
      if (!refusal) return { step: stepEnd, prepare: prepareEnd, whole: !step.failure.aborted };
      // What the control plane does not take can't be promised to it.
      return {
        step: { ...stepEnd, offset: shippers.step.durable },
        prepare: { ...prepareEnd, offset: shippers.prepare.durable },
        whole: false,
      };
    },
    async delivered(stepOffset, prepareOffset) {
      if (refusal && !hand.dropped.aborted) return;
      await Promise.all([shippers.step.reached(stepOffset), shippers.prepare.reached(prepareOffset)]);
    },
    async close() {
      closing.abort(CLOSED);
      await Promise.all([step.flushed(), prepare.flushed(), shippers.step.ended, shippers.prepare.ended]);
      await Promise.all([spools.step.close(), spools.prepare.close()]);
    },
  };
}
