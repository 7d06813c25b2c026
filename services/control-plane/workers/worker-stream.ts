import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import {
  type AttendResponse,
  AttendResponseSchema,
  type Hello,
  type Report,
} from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import type { Pushable } from "../../process/pushable.ts";
import { Refusal } from "../../process/refusal.ts";
import { aborted, sleep } from "../../process/wait.ts";
import { afterRelease } from "../builds/after-release.ts";
import type { Core } from "../core.ts";
import type { WorkerCaller } from "../identity/caller.ts";
import { type HeldLease, readLeases } from "../queue/read-leases.ts";
import { readOffers } from "../queue/read-offers.ts";
import { releaseLease } from "../queue/release-sessions.ts";
import type { Dispatcher } from "./dispatch.ts";
import { encodeOffer } from "./encode-offer.ts";
import { encodeVerdict } from "./encode-verdict.ts";
import { endIdleSession } from "./end-session.ts";
import { limits, PROTOCOL_VERSION } from "./limits.ts";
import { type OpenSession, openSession, sessionGone } from "./open-session.ts";
import { reconcile } from "./reconcile.ts";
import { type Lost, type Renewals, whyLost } from "./renew-sessions.ts";
import { Attending } from "./roster.ts";

export interface Attendance {
  core: Core;
  dispatcher: Dispatcher;
  renewals: Renewals;
}

type Message = Exclude<MessageInitShape<typeof AttendResponseSchema>["message"], undefined>;

// Reports in a row that do not name a lease, before it is offered again, and before it is taken back.
const OFFER_AGAIN_AFTER = 2;
const TAKE_BACK_AFTER = 4;
const MOVE_WITHIN_MS = 5_000;

/** One stream of a worker, from its Hello on: what it is told, and what is made of what it says. */
export class WorkerStream {
  private readonly attendance: Attendance;
  private readonly worker: WorkerCaller;
  private readonly session: OpenSession;
  private readonly out: Pushable<AttendResponse>;
  private readonly attending: Attending;
  private readonly forgetHints: () => void;
  private orderedDrain: boolean;
  private ownDrain: boolean;

  static async open(
    attendance: Attendance,
    worker: WorkerCaller,
    hello: Hello,
    out: Pushable<AttendResponse>,
    signal: AbortSignal,
  ): Promise<WorkerStream> {
    refuseOldProtocol(hello.protocolVersion);
    const session = await openSession(attendance.core, worker, hello);
    const stream = new WorkerStream(attendance, worker, hello, session, out);
    await stream.welcome(hello);
    void stream.moveWhenStopping(signal);
    return stream;
  }

  private constructor(
    attendance: Attendance,
    worker: WorkerCaller,
    hello: Hello,
    session: OpenSession,
    out: Pushable<AttendResponse>,
  ) {
    const { core } = attendance;
    this.attendance = attendance;
    this.worker = worker;
    this.session = session;
    this.out = out;
    this.orderedDrain = session.draining;
    this.ownDrain = hello.draining;
    this.attending = new Attending(
      {
        orgId: worker.orgId,
        workerId: worker.workerId,
        sessionId: session.sessionId,
        pool: worker.pool,
        labels: session.labels,
        slots: session.slots,
        cpuMillis: (hello.machine?.cpus ?? 0) * 1000,
        memoryBytes: Number(hello.machine?.memoryBytes ?? 0n),
      },
      (steps) => {
        for (const step of steps) this.send({ case: "offer", value: encodeOffer(step, core.url) });
      },
    );
    this.forgetHints = core.hints.on("session", session.sessionId, () => void this.lookAgain());
  }

  private send(message: Message): void {
    this.out.push(create(AttendResponseSchema, { message }));
  }

  private async welcome(hello: Hello): Promise<void> {
    const { core, dispatcher } = this.attendance;
    const leases = await readLeases(core.db.sql, [this.session.sessionId]);
    this.attending.adjust(leases);
    const { verdicts, missing } = reconcile(
      hello.held.map((held) => held.leaseId),
      leases,
    );
    this.send({
      case: "welcome",
      value: {
        sessionId: this.session.sessionId,
        resumeKey: this.session.resumeKey,
        leaseTtl: durationFromMs(core.config.leaseSeconds * 1000),
        reportEvery: durationFromMs(core.config.leaseSeconds * 250),
        limits: limits(),
        verdicts: verdicts.map(encodeVerdict),
        workerName: this.worker.name,
        pool: this.worker.pool,
      },
    });
    if (this.orderedDrain) this.send({ case: "drain", value: { reason: this.session.drainReason } });
    for (const { leaseId } of hello.held) this.accepted(leaseId);
    // An offer that was lost with the last stream.
    await this.offerAgain(missing);
    this.attending.draining = this.orderedDrain || this.ownDrain;
    dispatcher.roster.add(this.attending);
  }

  async report(report: Report): Promise<void> {
    const { renewals } = this.attendance;
    this.ownDrain = report.draining;
    const renewal = await renewals.renew(this.session.sessionId, this.session.stream, report.draining);
    if (renewal.kind !== "renewed") throw this.ended(renewal.kind);
    this.attending.heardAtMs = performance.now();
    const said = report.held.map((held) => held.leaseId);
    for (const leaseId of said) this.accepted(leaseId);
    const { verdicts, missing } = reconcile(said, renewal.leases);
    this.attending.adjust(renewal.leases);
    this.send({
      case: "renewed",
      value: { seq: report.seq, verdicts: verdicts.map(encodeVerdict) },
    });
    this.followDrain(renewal.draining, renewal.drainReason);
    await this.chase(missing);
    if (this.attending.claimant().freeSlots > 0) this.attendance.dispatcher.wake();
  }

  accepted(leaseId: string): void {
    const held = this.attending.held.get(leaseId);
    if (!held) return;
    held.told = true;
    held.offeredAtMs = undefined;
    held.missed = 0;
  }

  async declined(leaseId: string, reason: string): Promise<void> {
    if (this.attending.held.has(leaseId)) {
      await this.takeBack(leaseId, `The worker ${this.worker.name} handed it back: ${reason.slice(0, 300)}.`);
    }
  }

  /** A hint came for this session: something about it changed at another replica, or a cancel was asked for. */
  private async lookAgain(): Promise<void> {
    const { core, dispatcher } = this.attendance;
    try {
      const [row] = await core.db.sql<{ stream: number; over: boolean; draining: boolean; drainReason: string }[]>`
        SELECT s.stream, s.expires_at = '-infinity' AS over, w.draining, w.drain_reason AS "drainReason"
        FROM sessions s JOIN workers w ON w.id = s.worker_id WHERE s.id = ${this.session.sessionId}`;
      if (!row || row.over || row.stream > this.session.stream)
        return this.out.fail(this.ended(whyLost(row, this.session.stream)));
      const leases = await readLeases(core.db.sql, [this.session.sessionId]);
      this.attending.adjust(leases);
      this.stopCancelled(leases);
      this.followDrain(row.draining, row.drainReason);
      dispatcher.wake();
    } catch (reason) {
      core.logger.debug({ err: reason }, "a hint could not be followed; the next report will");
    }
  }

  private stopCancelled(leases: HeldLease[]): void {
    for (const lease of leases) {
      const held = this.attending.held.get(lease.leaseId);
      if (!lease.cancelRequested || !held || held.stopSent) continue;
      held.stopSent = true;
      this.send({
        case: "stop",
        value: { leaseId: lease.leaseId, reason: lease.cancelReason },
      });
    }
  }

  private followDrain(draining: boolean, reason: string): void {
    if (draining !== this.orderedDrain) {
      if (draining) this.send({ case: "drain", value: { reason } });
      else this.send({ case: "resume", value: {} });
      this.orderedDrain = draining;
    }
    this.attending.draining = this.orderedDrain || this.ownDrain;
  }

  /** Leases that the worker does not report: offered again, and taken back when that does not help either. */
  private async chase(missing: string[]): Promise<void> {
    const again: string[] = [];
    for (const leaseId of missing) {
      const held = this.attending.held.get(leaseId);
      if (!held || (held.offeredAtMs !== undefined && performance.now() - held.offeredAtMs < 1_000)) continue;
      if (!held.told) {
        again.push(leaseId);
        continue;
      }
      held.missed++;
      if (held.missed > TAKE_BACK_AFTER) {
        await this.takeBack(leaseId, `The worker ${this.worker.name} did not take it up.`);
      } else if (held.missed >= OFFER_AGAIN_AFTER) again.push(leaseId);
    }
    await this.offerAgain(again);
  }

  private async offerAgain(leaseIds: string[]): Promise<void> {
    if (leaseIds.length === 0) return;
    const steps = await readOffers(this.attendance.core.db.sql, leaseIds);
    this.attending.offer(steps);
    this.attending.tell(leaseIds, performance.now());
  }

  private async takeBack(leaseId: string, cause: string): Promise<void> {
    const { core } = this.attendance;
    await afterRelease(core, await releaseLease(core.db, leaseId, cause));
    this.attending.held.delete(leaseId);
  }

  private ended(kind: Lost): Refusal {
    // Told apart from a session that is gone, or the two processes would take the worker's place from each other for ever.
    if (kind === "replaced") {
      return new Refusal("aborted", "WORKER_REPLACED", `another process took the place of ${this.worker.name}`);
    }
    if (kind === "superseded") {
      return new Refusal("aborted", "SUPERSEDED", `a newer stream speaks for the session ${this.session.sessionId}`);
    }
    return sessionGone(this.session.sessionId);
  }

  /** Make before break: the worker opens a stream elsewhere, then closes this one. */
  private async moveWhenStopping(signal: AbortSignal): Promise<void> {
    const { stopping } = this.attendance.core;
    await aborted(AbortSignal.any([stopping, signal]));
    if (!stopping.aborted || signal.aborted) return;
    this.send({ case: "move", value: { deadline: durationFromMs(MOVE_WITHIN_MS) } });
    await sleep(MOVE_WITHIN_MS, signal);
    this.out.fail(new Refusal("unavailable", "STOPPING", "this replica stops; reconnect"));
  }

  async close(): Promise<void> {
    this.forgetHints();
    this.attendance.dispatcher.roster.remove(this.attending);
    if (this.ownDrain) await endIdleSession(this.attendance.core, this.session.sessionId, this.session.stream);
  }
}

function refuseOldProtocol(version: number): void {
  const [major, minor] = [Math.floor(version / 1000), version % 1000];
  const [ourMajor, ourMinor] = [Math.floor(PROTOCOL_VERSION / 1000), PROTOCOL_VERSION % 1000];
  if (major === ourMajor && minor >= ourMinor - 2) return;
  throw new Refusal(
    "failed_precondition",
    "UPGRADE_REQUIRED",
    `the worker speaks protocol ${major}.${minor}, this control plane ${ourMajor}.${ourMinor}; upgrade the worker`,
  );
}
