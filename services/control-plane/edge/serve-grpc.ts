import { randomUUID } from "node:crypto";
import { type DescMethod, fromBinary, type Message, toBinary } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type ConnectRouter,
  createContextValues,
  createHandlerContext,
  createServiceImplSpec,
  type Interceptor,
  type MethodImplSpec,
} from "@connectrpc/connect";
import { transformInvokeImplementation } from "@connectrpc/connect/protocol";
import type * as grpc from "@grpc/grpc-js";
import type { Logger } from "../../process/logger.ts";
import type { Authorize } from "./authorize.ts";
import { arrivalKey } from "./context.ts";
import { readBearer } from "./read-bearer.ts";
import { metadataOf, statusOf } from "./status-metadata.ts";
import { translateError } from "./translate-error.ts";

export interface GrpcOptions {
  authorize: Authorize;
  interceptors: Interceptor[];
  shutdownSignal: AbortSignal;
  logger: Logger;
  onRefused?: (method: DescMethod, reason: unknown) => void;
}

// For a caller that names no deadline, or none to speak of. The longest calls verify what was uploaded.
const UNARY_DEADLINE_MS = 120_000;

type Call = grpc.ServerDuplexStream<Buffer, Message>;

/**
 * A router that puts Connect's implementations on a grpc-js server, so that one handler serves both ports. Every
 * method is served as a stream of messages each way, which is what it is on the wire; Connect's own code then minds
 * how many messages its kind may have.
 */
export function grpcRouter(server: grpc.Server, options: GrpcOptions): Pick<ConnectRouter, "service" | "handlers"> {
  const handlers: ConnectRouter["handlers"] = [];
  const router = {
    handlers,
    service(service, implementation) {
      const definition: Record<string, grpc.MethodDefinition<Buffer, Message>> = {};
      const implementations: grpc.UntypedServiceImplementation = {};
      for (const spec of Object.values(createServiceImplSpec(service, implementation).methods)) {
        definition[spec.method.name] = definitionOf(spec.method);
        implementations[spec.method.name] = (call: Call) => void serve(spec, call, options);
        handlers.push({ service: spec.method.parent } as (typeof handlers)[number]);
      }
      server.addService(definition, implementations);
      return router;
    },
  } as Pick<ConnectRouter, "service" | "handlers">;
  return router;
}

function definitionOf(method: DescMethod): grpc.MethodDefinition<Buffer, Message> {
  return {
    path: `/${method.parent.typeName}/${method.name}`,
    requestStream: true,
    responseStream: true,
    // Read later: what can't be read here, grpc-js answers as an internal error.
    requestSerialize: (bytes) => bytes,
    requestDeserialize: (bytes) => bytes,
    responseSerialize: (message) => Buffer.from(toBinary(method.output, message)),
    responseDeserialize: (bytes) => fromBinary(method.output, bytes),
  };
}

async function serve(spec: MethodImplSpec, call: Call, options: GrpcOptions): Promise<void> {
  const left = new AbortController();
  call.once("cancelled", () => left.abort(new ConnectError("the caller left", Code.Canceled)));
  // grpc-js destroys the stream of a call that broke off; without a listener that would end the process.
  call.on("error", (reason) => left.abort(reason));
  const context = contextOf(spec, call, left.signal, options);
  try {
    await enter(spec.method, context, options);
    const requests = requestsOf(spec.method, call, context.signal);
    for await (const message of transformInvokeImplementation(spec, context, options.interceptors)(requests)) {
      await send(call, message as Message, context.signal);
    }
    call.end(metadataOf(context.responseTrailer));
  } catch (reason) {
    const about = { logger: options.logger, requestId: context.values.get(arrivalKey)?.requestId ?? "" };
    if (!left.signal.aborted) call.emit("error", statusOf(translateError(reason, about), context.responseTrailer));
  } finally {
    context.abort();
  }
}

async function enter(method: DescMethod, context: ReturnType<typeof createHandlerContext>, options: GrpcOptions) {
  try {
    await options.authorize(method, context.values);
  } catch (reason) {
    options.onRefused?.(method, reason);
    throw reason;
  }
}

function contextOf(spec: MethodImplSpec, call: Call, left: AbortSignal, options: GrpcOptions) {
  const values = createContextValues().set(arrivalKey, {
    peer: call.getPeer(),
    requestId: randomUUID(),
    bearer: readBearer(call.metadata.get("authorization").map(String)),
  });
  const deadline = call.getDeadline();
  const leftMs = Number(deadline) - Date.now();
  const timeoutMs = spec.kind === "unary" ? Math.min(leftMs, UNARY_DEADLINE_MS) : leftMs;
  return createHandlerContext({
    service: spec.method.parent,
    method: spec.method,
    protocolName: "grpc",
    requestMethod: "POST",
    url: `http://worker-port/${spec.method.parent.typeName}/${spec.method.name}`,
    requestSignal: left,
    requestHeader: headersOf(call.metadata),
    contextValues: values,
    // What is longer than a timer can run is no deadline.
    ...(timeoutMs < 2 ** 31 ? { timeoutMs: Math.max(1, timeoutMs) } : {}),
    ...(spec.kind === "unary" ? {} : { shutdownSignal: options.shutdownSignal }),
  });
}

function headersOf(metadata: grpc.Metadata): Headers {
  const headers = new Headers();
  for (const [name, value] of Object.entries(metadata.getMap())) {
    if (typeof value === "string" && name !== "authorization") headers.set(name, value);
  }
  return headers;
}

/** The requests; a caller that left looks like a clean end to grpc-js at first, and is an error here. */
async function* requestsOf(method: DescMethod, call: Call, signal: AbortSignal): AsyncGenerator<Message> {
  for await (const bytes of call.iterator({ destroyOnReturn: false })) yield readRequest(method, bytes);
  // That the stream was cut off is told a turn after its end.
  if (method.methodKind !== "unary") await new Promise((resolve) => setImmediate(resolve));
  if (signal.aborted || call.cancelled) throw signal.reason ?? new ConnectError("the caller left", Code.Canceled);
}

function readRequest(method: DescMethod, bytes: Buffer): Message {
  try {
    return fromBinary(method.input, bytes);
  } catch {
    throw new ConnectError(`the request is no ${method.input.typeName}`, Code.InvalidArgument);
  }
}

async function send(call: Call, message: Message, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  if (call.write(message)) return;
  await new Promise<void>((resolve, reject) => {
    const over = () => {
      call.off("drain", over);
      signal.removeEventListener("abort", over);
      if (signal.aborted) reject(signal.reason);
      else resolve();
    };
    call.once("drain", over);
    signal.addEventListener("abort", over, { once: true });
  });
}
