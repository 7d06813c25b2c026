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

type Call = grpc.ServerDuplexStream<Message, Message>;

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
      const definition: Record<string, grpc.MethodDefinition<Message, Message>> = {};
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

function definitionOf(method: DescMethod): grpc.MethodDefinition<Message, Message> {
  return {
    path: `/${method.parent.typeName}/${method.name}`,
    requestStream: true,
    responseStream: true,
    requestSerialize: (message) => Buffer.from(toBinary(method.input, message)),
    requestDeserialize: (bytes) => fromBinary(method.input, bytes),
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
    const requests = requestsOf(call, context.signal);
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
  const timeoutMs = Number(deadline) - Date.now();
  return createHandlerContext({
    service: spec.method.parent,
    method: spec.method,
    protocolName: "grpc",
    requestMethod: "POST",
    url: `http://worker-port/${spec.method.parent.typeName}/${spec.method.name}`,
    requestSignal: left,
    requestHeader: headersOf(call.metadata),
    contextValues: values,
    // grpc-js ends the call itself at its deadline; what is longer than a timer can run is none.
    ...(Number.isFinite(timeoutMs) && timeoutMs < 2 ** 31 ? { timeoutMs: Math.max(1, timeoutMs) } : {}),
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

/** The requests; a caller that left looks like a clean end to grpc-js, and is an error here. */
async function* requestsOf(call: Call, signal: AbortSignal): AsyncGenerator<Message> {
  yield* call.iterator({ destroyOnReturn: false });
  if (signal.aborted || call.cancelled) throw signal.reason ?? new ConnectError("the caller left", Code.Canceled);
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
