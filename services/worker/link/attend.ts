import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { ClientDuplexStream } from "@grpc/grpc-js";
import {
  type AttendRequest,
  AttendRequestSchema,
  type AttendResponse,
  type Hello,
  type Report,
  type Welcome,
  WorkerService,
} from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import { bell } from "../bell.ts";
import type { WorkerClient } from "./worker-client.ts";

/** What a stream tells whoever opened it. */
export interface AttendEvents {
  welcome(welcome: Welcome, helloSentAtMs: number): void;
  /** Everything else that arrives; `reportSentAtMs` for what answers a report. */
  order(order: AttendResponse["message"], reportSentAtMs: number | undefined): void;
}

/** One stream of a session, from Hello until it breaks. */
export interface Attendance {
  say(message: MessageInitShape<typeof AttendRequestSchema>["message"]): void;
  /** Ends the stream when no answer comes in time, to this report or a later one. */
  report(report: Report, answerWithinMs: number): void;
  /** Resolves with what ended the stream, which is an error of grpc-js or of ours; never rejects. */
  readonly over: Promise<unknown>;
  /** Whether Welcome has come. */
  readonly welcomed: boolean;
  /** Resolves when Welcome has come or the stream is over. */
  settled(): Promise<void>;
  close(): void;
}

// Hello is answered from a database; a control plane that takes longer is asked again elsewhere.
const WELCOME_WITHIN_MS = 10_000;

/** Opens a stream and says Hello. */
export function attend(client: WorkerClient, hello: Hello, events: AttendEvents): Attendance {
  const stream: ClientDuplexStream<AttendRequest, AttendResponse> = client.duplex(WorkerService.method.attend);
  const over = Promise.withResolvers<unknown>();
  const settled = bell();
  const sentAtMs = new Map<bigint, number>();
  const helloSentAtMs = performance.now();
  let welcomed = false;
  let ended = false;
  const end = (reason: unknown) => {
    ended = true;
    answered();
    over.resolve(reason);
    settled.ring();
  };
  const fail = (message: string) => {
    end(new Error(message));
    stream.cancel();
  };
  const late = () => fail("the control plane did not answer Hello in time");
  let patience: NodeJS.Timeout | undefined = setTimeout(late, WELCOME_WITHIN_MS);
  const answered = () => {
    clearTimeout(patience);
    patience = undefined;
  };
  stream.on("data", ({ message }: AttendResponse) => {
    if (message.case === "welcome") {
      welcomed = true;
      answered();
      events.welcome(message.value, helloSentAtMs);
      settled.ring();
      return;
    }
    const seq = message.case === "renewed" ? message.value.seq : undefined;
    const reportSentAtMs = seq === undefined ? undefined : sentAtMs.get(seq);
    if (seq !== undefined) answered();
    for (const earlier of sentAtMs.keys()) if (seq !== undefined && earlier <= seq) sentAtMs.delete(earlier);
    events.order(message, reportSentAtMs);
  });
  stream.on("error", end);
  stream.on("end", () => end(new Error("the control plane ended the stream")));
  const say: Attendance["say"] = (message) => {
    if (!ended) stream.write(create(AttendRequestSchema, { message } as MessageInitShape<typeof AttendRequestSchema>));
  };
  say({ case: "hello", value: hello });
  return {
    say,
    report(report, answerWithinMs) {
      if (ended) return;
      sentAtMs.set(report.seq, performance.now());
      // The way may be broken in one direction, which TCP and pings do not notice.
      patience ??= setTimeout(() => fail("the control plane does not answer reports"), answerWithinMs);
      say({ case: "report", value: report });
    },
    over: over.promise,
    get welcomed() {
      return welcomed;
    },
    async settled() {
      while (!welcomed && !ended) await settled.next();
    },
    close() {
      stream.end();
      // The control plane ends its half when it has seen ours; one that does not is left behind.
      setTimeout(() => stream.cancel(), 500).unref();
    },
  };
}
