import type { DescMethod } from "@bufbuild/protobuf";
import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import type { Logger } from "../../process/logger.ts";
import type { ListenAddress } from "../../process/setting-kinds.ts";
import { sleep } from "../../process/wait.ts";
import type { Caller } from "../identity/caller.ts";
import { answerJson, answerNotFound, closeUnread, setSecurityHeaders } from "./answer-plainly.ts";
import { authorizeUsers, type Lookup } from "./authorize.ts";
import { HTTP_LIMITS, type HttpLimits } from "./http-limits.ts";
import { createHttpServers } from "./http-servers.ts";
import { endWithSignal, translateErrors } from "./interceptors.ts";
import { listen } from "./listen.ts";
import { readTls, type TlsFiles } from "./read-tls.ts";
import { recheckCaller } from "./recheck-caller.ts";
import { type HttpHandler, type NodeRequest, type NodeResponse, type Routes, serveConnect } from "./serve-connect.ts";
import { servePage } from "./serve-page.ts";

export interface WebServerOptions {
  listen: ListenAddress;
  routes: Routes;
  /** Who a user's token is. */
  lookup: Lookup<Caller>;
  logger: Logger;
  tls?: TlsFiles;
  /** More that is served over plain HTTP, in this order, before the page. */
  handlers?: HttpHandler[];
  /** Outermost first; they see every call, and errors already translated. */
  interceptors?: Interceptor[];
  /** Told of every call that was refused before its handler. */
  onRefused?: (method: DescMethod, reason: unknown) => void;
  limits?: Partial<HttpLimits>;
  /** How often an open stream's token is looked up again. */
  recheckMs?: number;
}

export interface OpenServer {
  /** `127.0.0.1:7480`, with the port that was really taken. */
  address: string;
  port: number;
  /** Tells streams to move, lets calls in flight end, and insists after the grace. */
  stop(graceMs?: number): Promise<void>;
}

const UNARY_DEADLINE_MS = 30_000;
const RECHECK_MS = 15_000;
const GRACE_MS = 5_000;

/**
 * The public port: Connect, gRPC-Web and gRPC over HTTP/1.1 and HTTP/2, and the page at `/`. Rejects with one line
 * when the address can't be had or a certificate can't be read.
 */
export async function openWebServer(options: WebServerOptions): Promise<OpenServer> {
  const { logger, lookup } = options;
  const limits = { ...HTTP_LIMITS, ...options.limits };
  const tls = readTls(options.tls ?? {}, "public port");
  const stopping = new AbortController();
  const authorize = authorizeUsers(lookup);
  const rpc = serveConnect({
    routes: options.routes,
    authorize,
    interceptors: [
      ...(options.interceptors ?? []),
      translateErrors(logger),
      endWithSignal(recheckCaller(authorize), options.recheckMs ?? RECHECK_MS),
    ],
    shutdownSignal: stopping.signal,
    logger,
    unaryDeadlineMs: UNARY_DEADLINE_MS,
    requestWithinMs: limits.requestMs,
    stalledMs: limits.stalledMs,
    ...(options.onRefused ? { onRefused: options.onRefused } : {}),
  });
  const handlers = [rpc, ...(options.handlers ?? []), servePage()];
  const servers = createHttpServers(answerWith(handlers, logger, tls !== undefined), limits, tls);
  const { address, port } = await listen(servers.server, options.listen);
  return {
    address,
    port,
    async stop(graceMs = GRACE_MS) {
      const closed = new Promise<void>((resolve) => servers.server.close(() => resolve()));
      stopping.abort(new ConnectError("the server is stopping; connect again", Code.Unavailable));
      const drained = servers.drain();
      await Promise.race([closed, sleep(graceMs)]);
      drained();
      for (const socket of servers.sockets) socket.destroy();
      await closed;
    },
  };
}

function answerWith(handlers: HttpHandler[], logger: Logger, encrypted: boolean) {
  return (request: NodeRequest, response: NodeResponse) => {
    setSecurityHeaders(response, encrypted);
    closeUnread(request, response);
    // Of a connection that broke; whoever reads or writes hears of it there.
    request.on("error", () => {});
    response.on("error", () => response.destroy());
    try {
      if (!handlers.some((handle) => handle(request, response))) answerNotFound(request, response);
    } catch (reason) {
      logger.debug({ err: reason }, "a request can't be read");
      if (!response.headersSent) answerJson(response, 400, "invalid_argument", "the request can't be read");
      else response.destroy();
    }
  };
}
