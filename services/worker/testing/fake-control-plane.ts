import { randomBytes, randomUUID } from "node:crypto";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import {
  type AppendLogRequest,
  type AttendRequest,
  AttendResponseSchema,
  type FinishStepRequest,
  type Hello,
  type Limits,
  LimitsSchema,
  OfferSchema,
  type Report,
  type SyncRequest,
  type SyncResponseSchema,
  type Verdict,
  VerdictSchema,
} from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import { expect } from "vitest";
import { append, type FakeAttempt, fakeAttempt } from "./fake-attempt.ts";
import { fakeBytes } from "./fake-bytes.ts";
import { type Call, type Peer, refusal, servePeer } from "./serve-peer.ts";
import { noSwitches, type Switches } from "./switches.ts";

export interface FakeControlPlane extends AsyncDisposable {
  address: string;
  token: string;
  switches: Switches;
  attempts: Map<string, FakeAttempt>;
  hellos: Hello[];
  reports: Report[];
  syncs: number;
  limits: Limits;
  /** Whether a stream is open. */
  attached(): boolean;
  /** Offers a step to the worker that attends. */
  offer(step: Partial<StepInit>, more?: MessageInitShape<typeof OfferSchema>): FakeAttempt;
  say(message: MessageInitShape<typeof AttendResponseSchema>["message"]): void;
  finished(attempt: FakeAttempt): Promise<FinishStepRequest>;
  /** Breaks every open stream, as a network does. */
  breakStreams(): void;
  /** Ends the current Attend stream with a refusal. */
  refuseStream(code: number, reason: string): void;
  /** Forgets the session, as after the worker was away for too long. */
  forgetSession(): void;
}

type StepInit = NonNullable<MessageInitShape<typeof OfferSchema>["spec"]>;

export interface FakeOptions {
  leaseTtlMs?: number;
  reportEveryMs?: number;
  limits?: MessageInitShape<typeof LimitsSchema>;
}

/**
 * A control plane in memory: the worker's port on a real socket, with the rules of the contract as far as a worker
 * can tell, and switches for what goes wrong between the two.
 */
export async function fakeControlPlane(options: FakeOptions = {}): Promise<FakeControlPlane> {
  const fake = new Fake(options);
  await fake.listen();
  return fake;
}

type Said = MessageInitShape<typeof AttendResponseSchema>["message"];

class Fake implements FakeControlPlane {
  readonly token = `rw_${randomBytes(32).toString("base64url")}`;
  readonly attempts = new Map<string, FakeAttempt>();
  readonly hellos: Hello[] = [];
  readonly reports: Report[] = [];
  readonly limits: Limits;
  readonly switches = noSwitches();
  syncs = 0;
  readonly #options: FakeOptions;
  #peer: Peer | undefined;
  #session = { id: `ses_${randomUUID()}`, key: randomBytes(16) };
  #attend: Call | undefined;

  constructor(options: FakeOptions) {
    this.#options = options;
    this.limits = create(LimitsSchema, {
      maxMessageBytes: 1024 * 1024,
      maxChunkBytes: 256 * 1024,
      maxInflightBytes: 4n * 1024n * 1024n,
      maxLogBytes: 1024n ** 3n,
      maxArtifactBytes: 1024n ** 3n,
      maxArtifacts: 1000,
      ...options.limits,
    });
  }

  async listen(): Promise<void> {
    this.#peer = await servePeer(this.token, {
      attend: (call) => this.#serveAttend(call),
      sync: (request) => this.#sync(request),
      startStep: ({ leaseId, stage }) => {
        this.#held(leaseId).stages.push(stage);
        return {};
      },
      appendLog: (call) => this.#serveLog(call),
      finishStep: (request) => this.#finish(request),
      ...fakeBytes(this.switches, (leaseId) => this.#held(leaseId)),
    });
  }

  get address(): string {
    return this.#peer?.address ?? "";
  }

  attached(): boolean {
    return this.#attend !== undefined;
  }

  offer(step: Partial<StepInit>, more: MessageInitShape<typeof OfferSchema> = {}): FakeAttempt {
    const offer = create(OfferSchema, {
      leaseId: randomUUID(),
      attemptId: "att_1",
      stepId: "stp_1",
      buildId: "bld_1",
      attempt: 1,
      build: { number: 7n, job: "hello", branch: "main", url: "http://127.0.0.1:7480/jobs/hello/builds/7" },
      traceContext: { traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" },
      ...more,
      spec: { name: "test", checkout: false, ...step },
    } as MessageInitShape<typeof OfferSchema>);
    const attempt = fakeAttempt(offer);
    this.attempts.set(offer.leaseId, attempt);
    this.say({ case: "offer", value: offer });
    return attempt;
  }

  say(message: Said): void {
    this.#attend?.write(create(AttendResponseSchema, { message } as never));
  }

  async finished(attempt: FakeAttempt): Promise<FinishStepRequest> {
    await expect.poll(() => attempt.finish, { timeout: 20_000, interval: 10 }).toBeDefined();
    return attempt.finish as FinishStepRequest;
  }

  breakStreams(): void {
    this.#peer?.breakStreams();
  }

  refuseStream(code: number, reason: string): void {
    this.#attend?.fail(refusal(code, reason));
  }

  forgetSession(): void {
    this.#session = { id: `ses_${randomUUID()}`, key: randomBytes(16) };
    for (const attempt of this.attempts.values()) attempt.lost = true;
    this.#attend?.break();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#peer?.close();
  }

  /** The attempt, if its lease still counts. */
  #held(leaseId: string): FakeAttempt {
    const attempt = this.attempts.get(leaseId);
    if (!attempt || attempt.lost || attempt.finish) throw refusal(9, "LEASE_LOST");
    return attempt;
  }

  #verdict(leaseId: string): Verdict {
    const attempt = this.attempts.get(leaseId);
    if (!attempt || attempt.lost || attempt.finish) {
      return create(VerdictSchema, { leaseId, verdict: { case: "unknown", value: {} } });
    }
    const { step, prepare } = attempt;
    const durable = { durableLogOffset: BigInt(step.length), durablePrepareOffset: BigInt(prepare.length) };
    if (attempt.stop) {
      const { reason, graceMs } = attempt.stop;
      const stop = { leaseId, reason, grace: durationFromMs(graceMs), ...durable };
      return create(VerdictSchema, { leaseId, verdict: { case: "stop", value: stop } });
    }
    return create(VerdictSchema, { leaseId, verdict: { case: "goOn", value: durable } });
  }

  #serveAttend(call: Call): void {
    call.on("data", ({ message }: AttendRequest) => {
      if (message.case === "hello") this.#welcome(call, message.value);
      else if (message.case === "report") this.#renew(call, message.value);
      else if (message.case === "accepted") this.#accepted(message.value.leaseId);
      else if (message.case === "declined") {
        const attempt = this.attempts.get(message.value.leaseId);
        if (attempt) attempt.declined = message.value.reason;
      }
    });
    call.on("over", () => {
      if (this.#attend === call) this.#attend = undefined;
    });
  }

  #welcome(call: Call, hello: Hello): void {
    this.hellos.push(hello);
    if (hello.sessionId && hello.sessionId !== this.#session.id) {
      call.fail(refusal(9, "SESSION_GONE"));
      return;
    }
    this.#attend?.fail(refusal(10, "SUPERSEDED"));
    if (this.switches.loseWelcomes > 0) {
      this.switches.loseWelcomes--;
      this.#attend = undefined;
      call.break();
      return;
    }
    this.#attend = call;
    this.say({
      case: "welcome",
      value: {
        sessionId: this.#session.id,
        resumeKey: this.#session.key,
        leaseTtl: durationFromMs(this.#options.leaseTtlMs ?? 20_000),
        reportEvery: durationFromMs(this.#options.reportEveryMs ?? 100),
        limits: this.limits,
        verdicts: hello.held.map(({ leaseId }) => this.#verdict(leaseId)),
        workerName: "w1",
        pool: "default",
      } as never,
    });
    if (this.switches.breakAttend) call.break();
  }

  #renew(call: Call, report: Report): void {
    this.reports.push(report);
    if (this.switches.silent) return;
    const renewed = { seq: report.seq, verdicts: report.held.map(({ leaseId }) => this.#verdict(leaseId)) };
    call.write(create(AttendResponseSchema, { message: { case: "renewed", value: renewed } } as never));
  }

  #accepted(leaseId: string): void {
    const attempt = this.attempts.get(leaseId);
    if (attempt) attempt.accepted++;
  }

  #sync({ sessionId, report, accepted }: SyncRequest): MessageInitShape<typeof SyncResponseSchema> {
    this.syncs++;
    if (sessionId !== this.#session.id) throw refusal(9, "SESSION_GONE");
    for (const { leaseId } of accepted) this.#accepted(leaseId);
    const known = new Set(report?.held.map(({ leaseId }) => leaseId));
    const open = [...this.attempts.values()].filter(({ finish, offer }) => !finish && !known.has(offer.leaseId));
    const verdicts = [...known].map((leaseId) => this.#verdict(leaseId));
    return { renewed: { seq: report?.seq ?? 0n, verdicts }, offers: open.map(({ offer }) => offer) };
  }

  #serveLog(call: Call): void {
    let chunks = 0;
    call.on("data", async (request: AppendLogRequest) => {
      const { refuseChunks, breakLogAfter, loseAcks, ackDelayMs } = this.switches;
      try {
        if (refuseChunks && refuseChunks.times-- > 0) throw refusal(15, refuseChunks.reason);
        const durable = append(this.#held(request.leaseId), request);
        if (breakLogAfter !== undefined && ++chunks >= breakLogAfter) return call.break();
        if (loseAcks) return;
        if (ackDelayMs) await new Promise((resolve) => setTimeout(resolve, ackDelayMs));
        call.write({ leaseId: request.leaseId, kind: request.kind, durableOffset: BigInt(durable) });
      } catch (reason) {
        call.fail(reason as Error);
      }
    });
  }

  #finish(request: FinishStepRequest): object {
    const attempt = this.attempts.get(request.leaseId);
    if (attempt) attempt.finishes++;
    if (attempt?.finish?.resultId === request.resultId) return {};
    if (attempt?.finish) throw refusal(6, "RESULT_CONFLICT");
    const held = this.#held(request.leaseId);
    if (Number(request.finalOffset) > held.step.length) throw refusal(9, "LOG_BEHIND");
    held.finish = request;
    if (this.switches.loseFinishAnswers-- > 0) throw refusal(14, "");
    return {};
  }
}
