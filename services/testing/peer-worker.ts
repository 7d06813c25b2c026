import { randomUUID } from "node:crypto";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type Client, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { LogKind } from "@ritmo/contract/ritmo/log/v1/log_pb.js";
import {
  type AppendLogRequestSchema,
  type AppendLogResponse,
  type AttendRequestSchema,
  Codec,
  HelloSchema,
  type Offer,
  WorkerService,
} from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import { crc32c } from "../process/crc32c.ts";
import { pushable } from "../process/pushable.ts";

/** A worker that says exactly what a test tells it to, over a real connection to a real worker port. */
export interface PeerWorker extends AsyncDisposable {
  client: Client<typeof WorkerService>;
  sessionId: string;
  /** Reports a free slot until it is offered a step, accepts it and answers the offer. */
  take(): Promise<Offer>;
  /** Sends chunks on a stream of their own and answers the acknowledgements, or throws the refusal. */
  append(chunks: MessageInitShape<typeof AppendLogRequestSchema>[]): Promise<AppendLogResponse[]>;
}

/** Attends as the worker of a token and waits for its welcome. */
export async function attendAs(address: string, token: string): Promise<PeerWorker> {
  const transport = createGrpcTransport({
    baseUrl: `http://${address}`,
    interceptors: [
      (next) => (request) => {
        request.header.set("authorization", `Bearer ${token}`);
        return next(request);
      },
    ],
  });
  const client = createClient(WorkerService, transport);
  const out = pushable<MessageInitShape<typeof AttendRequestSchema>>();
  const hello = create(HelloSchema, { protocolVersion: 1000, slots: 1, executors: ["process"] });
  out.push({ message: { case: "hello", value: hello } });
  const offers = pushable<Offer>();
  const welcome = Promise.withResolvers<string>();
  const over = (async () => {
    for await (const { message } of client.attend(out)) {
      if (message.case === "welcome") welcome.resolve(message.value.sessionId);
      if (message.case === "offer") offers.push(message.value);
    }
  })().catch((reason: unknown) => welcome.reject(reason));
  const sessionId = await welcome.promise;
  const offered = offers[Symbol.asyncIterator]();
  return {
    client,
    sessionId,
    async take() {
      const { value } = await offered.next();
      out.push({ message: { case: "accepted", value: { leaseId: value.leaseId } } });
      return value;
    },
    async append(chunks) {
      const acks: AppendLogResponse[] = [];
      for await (const ack of client.appendLog(each(chunks))) acks.push(ack);
      return acks;
    },
    async [Symbol.asyncDispose]() {
      out.end();
      await over;
    },
  };
}

/** A chunk of what a step wrote. */
export function chunkOf(
  leaseId: string,
  offset: number,
  text: string,
): MessageInitShape<typeof AppendLogRequestSchema> {
  const data = Buffer.from(text);
  return {
    leaseId,
    kind: LogKind.STEP,
    offset: BigInt(offset),
    codec: Codec.RAW,
    data,
    rawLength: data.length,
    crc32c: crc32c(data),
    lines: text.split("\n").length - 1,
  };
}

/** A finish with an exit code, after so many bytes of log whose digest nobody knows. */
export function finishOf(leaseId: string, code: number, finalOffset = 0) {
  return {
    leaseId,
    resultId: randomUUID(),
    end: { case: "exited" as const, value: { code } },
    finalOffset: BigInt(finalOffset),
  };
}

async function* each<T>(items: T[]): AsyncGenerator<T> {
  yield* items;
}
