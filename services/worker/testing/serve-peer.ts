import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import {
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { ErrorInfoSchema } from "@ritmo/contract/google/rpc/error_details_pb.js";
import { WorkerService } from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";

/** A refusal as it goes over the wire of gRPC. */
export function refusal(code: number, reason: string, metadata: Record<string, string> = {}): Error {
  const details = [{ desc: ErrorInfoSchema, value: { reason, domain: "ritmo", metadata } }];
  const trailer = new Headers();
  setTrailerStatus(trailer, new ConnectError(reason || "unavailable", code as Code, undefined, reason ? details : []));
  const headers = new Metadata();
  const packed = trailer.get("grpc-status-details-bin");
  if (packed) headers.set("grpc-status-details-bin", Buffer.from(packed, "base64"));
  return Object.assign(new Error(reason), { code, details: reason || "unavailable", metadata: headers });
}

/** One open stream. */
export interface Call {
  // biome-ignore lint/suspicious/noExplicitAny: each handler knows what its own messages are
  on(event: "data" | "end" | "over", then: (message: any) => void): void;
  write(message: object): void;
  /** The one answer of a call that only sends. */
  answer(message: object): void;
  /** Ends with an error. */
  fail(reason: Error): void;
  /** Ends as a network does. */
  break(): void;
}

type Methods = (typeof WorkerService)["method"];
export type Handlers = {
  [K in keyof Methods]: Methods[K]["methodKind"] extends "unary"
    ? (request: MessageShape<Methods[K]["input"]>) => MessageInitShape<Methods[K]["output"]>
    : Methods[K]["methodKind"] extends "server_streaming"
      ? (request: MessageShape<Methods[K]["input"]>) => Iterable<MessageInitShape<Methods[K]["output"]>>
      : (call: Call) => void;
};

export interface Peer {
  address: string;
  breakStreams(): void;
  close(): Promise<void>;
}

/** Serves WorkerService on a port of loopback; a wrong token is UNAUTHENTICATED. */
export async function servePeer(token: string, handlers: Handlers): Promise<Peer> {
  const server = new Server({ "grpc.max_receive_message_length": 2 * 1024 * 1024 });
  const open = new Set<Call>();
  const definition: Record<string, ServiceDefinition[string]> = {};
  const implementation: UntypedServiceImplementation = {};
  for (const method of WorkerService.methods) {
    const kind = method.methodKind;
    definition[method.name] = {
      path: `/${WorkerService.typeName}/${method.name}`,
      requestStream: kind === "bidi_streaming" || kind === "client_streaming",
      responseStream: kind === "bidi_streaming" || kind === "server_streaming",
      requestSerialize: encode(method.input),
      requestDeserialize: (bytes: Buffer) => fromBinary(method.input, bytes),
      responseSerialize: encode(method.output),
      responseDeserialize: (bytes: Buffer) => fromBinary(method.output, bytes),
    };
    const handler = handlers[method.localName as keyof Methods] as (given: unknown) => unknown;
    // biome-ignore lint/suspicious/noExplicitAny: grpc-js has a type for each of the four kinds
    implementation[method.name] = (raw: any, callback?: (reason: unknown, response?: unknown) => void) => {
      const known = raw.metadata.get("authorization")[0] === `Bearer ${token}`;
      const stranger = refusal(Code.Unauthenticated, "TOKEN_UNKNOWN");
      if (kind === "unary") {
        if (!known) return callback?.(stranger);
        try {
          callback?.(null, handler(raw.request));
        } catch (reason) {
          callback?.(reason);
        }
        return;
      }
      const call = openCall(raw, callback, open);
      if (!known) return call.fail(stranger);
      try {
        const messages = handler(kind === "server_streaming" ? raw.request : call);
        if (kind !== "server_streaming") return;
        for (const message of messages as Iterable<object>) call.write(message);
        raw.end();
      } catch (reason) {
        call.fail(reason as Error);
      }
    };
  }
  server.addService(definition, implementation);
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (reason, bound) =>
      reason ? reject(reason) : resolve(bound),
    ),
  );
  return {
    address: `127.0.0.1:${port}`,
    breakStreams() {
      for (const call of [...open]) call.break();
    },
    async close() {
      server.forceShutdown();
    },
  };
}

function openCall(
  raw: ServerDuplexStream<object, object>,
  callback: ((reason: unknown, response?: unknown) => void) | undefined,
  open: Set<Call>,
): Call {
  const over: ((message?: unknown) => void)[] = [];
  let ended = false;
  const finish = () => {
    ended = true;
    open.delete(call);
    for (const tell of over) tell();
  };
  const call: Call = {
    on(event, then) {
      if (event === "over") over.push(then);
      else raw.on(event, then);
    },
    write: (message) => void (ended || raw.write(message)),
    answer: (message) => callback?.(null, message),
    fail(reason) {
      if (ended) return;
      if (callback) callback(reason);
      else raw.emit("error", reason);
      finish();
    },
    break: () => call.fail(refusal(Code.Unavailable, "")),
  };
  open.add(call);
  raw.on("cancelled", finish);
  raw.on("end", () => {
    if (callback || ended) return;
    finish();
    raw.end();
  });
  return call;
}

function encode(desc: DescMessage) {
  return (message: object): Buffer => Buffer.from(toBinary(desc, create(desc, message as never)));
}
