import { randomUUID } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { constants, type ServerHttp2Stream } from "node:http2";
import type { DescMethod } from "@bufbuild/protobuf";
import {
  type ConnectRouter,
  createConnectRouter,
  createContextValues,
  createServiceImplSpec,
  type HandlerContext,
  type Interceptor,
} from "@connectrpc/connect";
import type { UniversalHandler, UniversalServerRequest } from "@connectrpc/connect/protocol";
import { universalRequestFromNodeRequest, universalResponseToNodeResponse } from "@connectrpc/connect-node";
import type { Logger } from "../../process/logger.ts";
import { announceClose, answerJson } from "./answer-plainly.ts";
import type { Authorize } from "./authorize.ts";
import { arrivalKey } from "./context.ts";
import { capDeadline } from "./deadlines.ts";
import { assertReadable, type BodyLimits, guardBody } from "./guard-body.ts";
import { strictGzip } from "./gzip.ts";
import { maxRequestBytes } from "./message-limits.ts";
import { readBearer, valuesOf } from "./read-bearer.ts";
import { translateError } from "./translate-error.ts";

/** A request over HTTP/1.1, or over HTTP/2, whose compatible form has a stream besides. */
export type NodeRequest = IncomingMessage & { stream?: ServerHttp2Stream };
export type NodeResponse = ServerResponse;
/** Takes the request and answers true, or leaves it to the next one. */
export type HttpHandler = (request: NodeRequest, response: NodeResponse) => boolean;
export type Routes = (router: ConnectRouter) => void;

export interface ConnectOptions {
  routes: Routes;
  authorize: Authorize;
  interceptors: Interceptor[];
  /** Aborts, with a ConnectError, when streams have to move elsewhere. */
  shutdownSignal: AbortSignal;
  logger: Logger;
  unaryDeadlineMs: number;
  requestWithinMs: number;
  stalledMs: number;
  /** Told of every call that was refused before its handler. */
  onRefused?: (method: DescMethod, reason: unknown) => void;
}

// Below this a message fits a packet or a few; compressing bytes of artifacts and logs again only costs time.
const COMPRESS_FROM_BYTES = 4096;
const NEVER_BYTES = 0xffffffff;
// For reflection, the one public method that takes a stream.
const REQUEST_STREAM_WITHIN_MS = 10 * 60_000;

/**
 * Serves Connect, gRPC-Web and gRPC for one set of routes. Every method has its own limit of message size and its
 * need of a caller, and both are settled before a body is read.
 */
export function serveConnect(options: ConnectOptions): HttpHandler {
  const router = createConnectRouter({
    acceptCompression: [strictGzip],
    interceptors: options.interceptors,
    // A filter whose name is misspelt would mean everything.
    jsonOptions: { ignoreUnknownFields: false },
    compressMinBytes: COMPRESS_FROM_BYTES,
  });
  options.routes(withMethodOptions(router, (method) => optionsOf(method, options)));
  const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
  return (request, response) => {
    const [path = "", query] = (request.url ?? "").split("?", 2);
    const handler = handlers.get(path);
    if (!handler || query !== undefined) return false;
    if (request.method !== "POST") {
      response.setHeader("allow", "POST");
      announceClose(request, response);
      answerJson(response, 405, "unimplemented", "methods are called by POST");
      return true;
    }
    const call = arrive(handler, request, response, options);
    run(handler, call, response, options.stalledMs).catch((reason: unknown) => {
      // The other end left: there is nobody to answer.
      options.logger.debug({ err: reason, method: handler.method.name }, "a call broke off");
      response.destroy();
    });
    return true;
  };
}

interface Call extends UniversalServerRequest {
  reading: { begun: boolean };
}

/** The request as the handlers of all protocols take it. Throws when not even its address can be read. */
function arrive(
  { method }: UniversalHandler,
  request: NodeRequest,
  response: NodeResponse,
  options: ConnectOptions,
): Call {
  capDeadline(request.headers, method.methodKind === "unary" ? options.unaryDeadlineMs : undefined);
  const values = createContextValues().set(arrivalKey, {
    peer: request.socket.remoteAddress ?? "unknown",
    requestId: randomUUID(),
    bearer: readBearer(valuesOf(request.rawHeaders, "authorization")),
  });
  const call = universalRequestFromNodeRequest(request, response, undefined, values);
  const limits = bodyLimits(method, call.header, options);
  const reading = { begun: false };
  const body = guardBody(beginning(call.body as AsyncIterable<Uint8Array>, request, response, reading), limits);
  return { ...call, body, reading };
}

function bodyLimits(method: DescMethod, header: Headers, options: ConnectOptions): BodyLimits {
  const type = header.get("content-type") ?? "";
  const enveloped = /^application\/(grpc|connect)/.test(type);
  const encoding = header.get(enveloped ? encodingHeader(type) : "content-encoding");
  const declared = Number(header.get("content-length") ?? 0);
  // The guard hands on whole messages, inflated: what was declared of the body is no longer true of it.
  header.delete("content-length");
  if (!enveloped && encoding === strictGzip.name) header.delete("content-encoding");
  return {
    maxBytes: maxRequestBytes(method),
    enveloped,
    gzip: encoding === strictGzip.name,
    declaredBytes: enveloped ? 0 : declared,
    arriveWithinMs: manyRequests(method) ? REQUEST_STREAM_WITHIN_MS : options.requestWithinMs,
    ...(/json/.test(type) ? {} : { check: (bytes) => assertReadable(method.input, bytes) }),
  };
}

function encodingHeader(type: string): string {
  return type.startsWith("application/grpc") ? "grpc-encoding" : "connect-content-encoding";
}

async function run(handler: UniversalHandler, call: Call, response: NodeResponse, stalledMs: number) {
  const answer = await handler(call);
  if (!call.reading.begun) announceClose(response.req, response);
  const body = unlessStalled(answer.body, response, stalledMs);
  // connect-node waits for ever for room in an answer whose reader has left, and its handler would wait with it.
  response.once("close", () => {
    body.return(undefined).catch(() => {});
  });
  await universalResponseToNodeResponse({ ...answer, body }, response);
}

/** The answer's bytes; a reader that takes none of them for too long has its stream closed, and its handler ended. */
async function* unlessStalled(body: AsyncIterable<Uint8Array> | undefined, response: NodeResponse, stalledMs: number) {
  for await (const piece of body ?? []) {
    const timer = setTimeout(() => cutOff(response), stalledMs);
    try {
      yield piece;
    } finally {
      clearTimeout(timer);
    }
  }
}

function cutOff(response: NodeResponse): void {
  const { stream } = response.req as NodeRequest;
  // Over HTTP/2 a plain destruction would look like an end without an error.
  if (stream) stream.close(constants.NGHTTP2_CANCEL);
  else response.destroy();
}

function manyRequests(method: DescMethod): boolean {
  return method.methodKind === "client_streaming" || method.methodKind === "bidi_streaming";
}

/** The body of a request that waits to be asked for it (`Expect: 100-continue`) is asked for when it is read. */
async function* beginning(
  body: AsyncIterable<Uint8Array>,
  request: NodeRequest,
  response: NodeResponse,
  reading: { begun: boolean },
) {
  reading.begun = true;
  if (request.headers.expect !== undefined) response.writeContinue();
  yield* body;
}

function optionsOf(method: DescMethod, options: ConnectOptions) {
  const bytes = method.name === "DownloadArtifact";
  return {
    readMaxBytes: maxRequestBytes(method),
    requestGate: gate(options),
    ...(method.methodKind === "unary" ? {} : { shutdownSignal: options.shutdownSignal }),
    ...(bytes ? { compressMinBytes: NEVER_BYTES } : {}),
  };
}

function gate({ authorize, logger, onRefused }: ConnectOptions) {
  return async (context: HandlerContext) => {
    try {
      await authorize(context.method, context.values);
    } catch (reason) {
      onRefused?.(context.method, reason);
      throw translateError(reason, { logger, requestId: context.values.get(arrivalKey)?.requestId ?? "" });
    }
  };
}

/** A router that registers every method by itself, with options of its own. */
function withMethodOptions(
  router: ConnectRouter,
  options: (method: DescMethod) => Parameters<ConnectRouter["rpc"]>[2],
): ConnectRouter {
  const limited: ConnectRouter = {
    handlers: router.handlers,
    service(service, implementation, more) {
      for (const { method, impl } of Object.values(createServiceImplSpec(service, implementation).methods)) {
        router.rpc(method, impl as never, { ...options(method), ...more });
      }
      return limited;
    },
    rpc(method, impl, more) {
      router.rpc(method, impl, { ...options(method), ...more });
      return limited;
    },
  };
  return limited;
}
