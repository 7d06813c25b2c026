import { randomBytes, randomUUID } from "node:crypto";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import {
  type AppendLogRequest,
  type AttendResponse,
  AttendResponseSchema,
  type FinishStepRequest,
  type Hello,
  type InputFileSchema,
  type Limits,
  LimitsSchema,
  OfferSchema,
  type Report,
  type Verdict,
  VerdictSchema,
} from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import { expect } from "vitest";
import { append, type FakeAttempt, fakeAttempt } from "./fake-attempt.ts";
import { fakeBytes } from "./fake-bytes.ts";
import { type Call, refusal, servePeer } from "./serve-peer.ts";

/** What a test makes the peer do wrong. */
export interface Switches {
  /** Stores and does not acknowledge. */
  loseAcks: boolean;
  /** Records a finish and breaks the call instead of answering. */
  loseFinishAnswers: number;
  /** Ends each Attend right after Welcome. */
  breakAttend: boolean;
  /** Reports get no answer. */
  silent: boolean;
  /** Every log chunk is refused with this reason, so many times. */
  refuseChunks: { reason: string; times: number } | undefined;
  /** Breaks an AppendLog stream after so many chunks. */
  breakLogAfter: number | undefined;
  /** Chunks wait so long for their acknowledgement. */
  ackDelayMs: number;
  /** Breaks a SendArtifact after so many bytes. */
  breakSendAfterBytes: number | undefined;
  /** Every BeginUpload is refused so. */
  refuseUploads: { code: number; reason: string } | undefined;
  /** Files are PUT to this address in parts; some are there already, with these tags. */
  signedParts: { partBytes: number; url: string; there: Record<number, string> } | undefined;
  /** What every attempt may bring in. */
  inputs: (MessageInitShape<typeof InputFileSchema> & { bytes: Buffer })[];
  /** FetchInput breaks after so many bytes. */
  fetchPieceBytes: number | undefined;
  /** FetchInput knows none of them. */
  missingInputs: boolean;
}

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
  const { leaseTtlMs = 20_000, reportEveryMs = 100 } = options;
  const attempts = new Map<string, FakeAttempt>();
  const token = `rw_${randomBytes(32).toString("base64url")}`;
  const limits = create(LimitsSchema, {
    maxMessageBytes: 1024 * 1024,
    maxChunkBytes: 256 * 1024,
    maxInflightBytes: 4n * 1024n * 1024n,
    maxLogBytes: 1024n ** 3n,
    maxArtifactBytes: 1024n ** 3n,
    maxArtifacts: 1000,
    ...options.limits,
  });
  const switches: Switches = {
    loseAcks: false,
    loseFinishAnswers: 0,
    breakAttend: false,
    silent: false,
    refuseChunks: undefined,
    breakLogAfter: undefined,
    ackDelayMs: 0,
    breakSendAfterBytes: undefined,
    refuseUploads: undefined,
    signedParts: undefined,
    inputs: [],
    fetchPieceBytes: undefined,
    missingInputs: false,
  };
  let session = { id: `ses_${randomUUID()}`, key: randomBytes(16) };
  let attend: Call | undefined;

  const held = (leaseId: string): FakeAttempt => {
    const attempt = attempts.get(leaseId);
    if (!attempt || attempt.lost || attempt.finish) throw refusal(9, "LEASE_LOST");
    return attempt;
  };
  const verdict = (leaseId: string): Verdict => {
    const attempt = attempts.get(leaseId);
    if (!attempt || attempt.lost || attempt.finish) {
      return create(VerdictSchema, { leaseId, verdict: { case: "unknown", value: {} } });
    }
    if (attempt.stop) {
      const { reason, graceMs } = attempt.stop;
      const stop = { leaseId, reason, grace: durationFromMs(graceMs) };
      return create(VerdictSchema, { leaseId, verdict: { case: "stop", value: stop } });
    }
    const value = {
      durableLogOffset: BigInt(attempt.step.length),
      durablePrepareOffset: BigInt(attempt.prepare.length),
    };
    return create(VerdictSchema, { leaseId, verdict: { case: "goOn", value } });
  };
  const welcome = (hello: Hello): MessageInitShape<typeof AttendResponseSchema>["message"] => ({
    case: "welcome",
    value: {
      sessionId: session.id,
      resumeKey: session.key,
      leaseTtl: durationFromMs(leaseTtlMs),
      reportEvery: durationFromMs(reportEveryMs),
      limits,
      verdicts: hello.held.map(({ leaseId }) => verdict(leaseId)),
      workerName: "w1",
      pool: "default",
    },
  });
  const peer = await servePeer(token, {
    attend(call) {
      call.on("data", ({ message }) => {
        if (message.case === "hello") {
          self.hellos.push(message.value);
          if (message.value.sessionId && message.value.sessionId !== session.id) {
            call.fail(refusal(9, "SESSION_GONE"));
            return;
          }
          attend?.fail(refusal(10, "SUPERSEDED"));
          attend = call;
          call.write(create(AttendResponseSchema, { message: welcome(message.value) } as never));
          if (switches.breakAttend) call.break();
        } else if (message.case === "report") {
          self.reports.push(message.value);
          if (switches.silent) return;
          const renewed = {
            seq: message.value.seq,
            verdicts: message.value.held.map((h: { leaseId: string }) => verdict(h.leaseId)),
          };
          call.write(create(AttendResponseSchema, { message: { case: "renewed", value: renewed } } as never));
        } else if (message.case === "accepted") {
          const attempt = attempts.get(message.value.leaseId);
          if (attempt) attempt.accepted++;
        } else if (message.case === "declined") {
          const attempt = attempts.get(message.value.leaseId);
          if (attempt) attempt.declined = message.value.reason;
        }
      });
      call.on("over", () => {
        if (attend === call) attend = undefined;
      });
    },
    sync({ sessionId, report, accepted }) {
      self.syncs++;
      if (sessionId !== session.id) throw refusal(9, "SESSION_GONE");
      for (const { leaseId } of accepted) {
        const attempt = attempts.get(leaseId);
        if (attempt) attempt.accepted++;
      }
      const known = new Set(report?.held.map(({ leaseId }) => leaseId));
      const offers = [...attempts.values()].filter((a) => !a.finish && !known.has(a.offer.leaseId)).map((a) => a.offer);
      return { renewed: { seq: report?.seq ?? 0n, verdicts: [...known].map(verdict) }, offers };
    },
    startStep({ leaseId, stage }) {
      held(leaseId).stages.push(stage);
      return {};
    },
    appendLog(call) {
      let chunks = 0;
      call.on("data", async (request: AppendLogRequest) => {
        try {
          const refused = switches.refuseChunks;
          if (refused && refused.times-- > 0) throw refusal(15, refused.reason);
          const durable = append(held(request.leaseId), request);
          if (switches.breakLogAfter !== undefined && ++chunks >= switches.breakLogAfter) return call.break();
          if (switches.loseAcks) return;
          if (switches.ackDelayMs) await new Promise((resolve) => setTimeout(resolve, switches.ackDelayMs));
          call.write({ leaseId: request.leaseId, kind: request.kind, durableOffset: BigInt(durable) } as never);
        } catch (reason) {
          call.fail(reason as Error);
        }
      });
    },
    ...fakeBytes(switches, held),
    finishStep(request) {
      const attempt = attempts.get(request.leaseId);
      if (attempt) attempt.finishes++;
      if (attempt?.finish?.resultId === request.resultId) return {};
      if (attempt?.finish) throw refusal(6, "RESULT_CONFLICT");
      const known = held(request.leaseId);
      if (Number(request.finalOffset) > known.step.length) throw refusal(9, "LOG_BEHIND");
      known.finish = request;
      if (switches.loseFinishAnswers-- > 0) throw refusal(14, "");
      return {};
    },
  });

  const self: FakeControlPlane = {
    address: peer.address,
    token,
    switches,
    attempts,
    hellos: [],
    reports: [],
    syncs: 0,
    limits,
    attached: () => attend !== undefined,
    offer(step, more = {}) {
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
      attempts.set(offer.leaseId, attempt);
      self.say({ case: "offer", value: offer });
      return attempt;
    },
    say(message) {
      attend?.write(create(AttendResponseSchema, { message } as never) as AttendResponse);
    },
    async finished(attempt) {
      await expect.poll(() => attempt.finish, { timeout: 20_000, interval: 10 }).toBeDefined();
      return attempt.finish as FinishStepRequest;
    },
    breakStreams: () => peer.breakStreams(),
    refuseStream: (code, reason) => attend?.fail(refusal(code, reason)),
    forgetSession() {
      session = { id: `ses_${randomUUID()}`, key: randomBytes(16) };
      for (const attempt of attempts.values()) attempt.lost = true;
      attend?.break();
    },
    [Symbol.asyncDispose]: () => peer.close(),
  };
  return self;
}
