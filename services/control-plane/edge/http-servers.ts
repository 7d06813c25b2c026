import http from "node:http";
import http2 from "node:http2";
import net from "node:net";
import type { HttpLimits } from "./http-limits.ts";
import type { TlsPem } from "./read-tls.ts";
import type { NodeRequest, NodeResponse } from "./serve-connect.ts";
import { watchSession } from "./watch-session.ts";

/** A listener for HTTP/1.1 and HTTP/2 on one port. */
export interface HttpServers {
  server: net.Server;
  sockets: ReadonlySet<net.Socket>;
  /** Lets calls in flight end and takes no more on the connections that are there, until the answer is called. */
  drain(): () => void;
}

export type NodeHandler = (request: NodeRequest, response: NodeResponse) => void;
// What Node gives for HTTP/2 has the same members as for HTTP/1.1, which its types do not say.
type Http2Handler = (request: http2.Http2ServerRequest, response: http2.Http2ServerResponse) => void;

const LOOK_FOR_IDLE_MS = 50;

/** With certificates by ALPN, without by looking at the first bytes. */
export function createHttpServers(handler: NodeHandler, limits: HttpLimits, tls: TlsPem | undefined): HttpServers {
  const sockets = new Set<net.Socket>();
  const sessions = new Set<http2.ServerHttp2Session>();
  const { h1, h2, server } = tls ? overTls(handler, limits, tls) : inTheClear(handler, limits);
  server.maxConnections = limits.connections;
  server.on("connection", (socket: net.Socket) => {
    sockets.add(socket);
    socket.setKeepAlive(true, limits.pingMs);
    socket.on("error", () => socket.destroy());
    socket.once("close", () => sockets.delete(socket));
  });
  h2.on("session", (session: http2.ServerHttp2Session) => {
    sessions.add(session);
    session.once("close", () => sessions.delete(session));
    watchSession(session, limits);
  });
  // Otherwise a broken handshake or a session's end would be an uncaught error of the process.
  h2.on("sessionError", () => {});
  return {
    server,
    sockets,
    drain() {
      h1.close();
      for (const session of sessions) session.close();
      // A connection over HTTP/1.1 is idle once its last answer has left, which is later for those at work now.
      const timer = setInterval(() => h1.closeIdleConnections(), LOOK_FOR_IDLE_MS);
      return () => clearInterval(timer);
    },
  };
}

function inTheClear(handler: NodeHandler, limits: HttpLimits) {
  const h1 = http.createServer(httpOptions(limits), handler);
  // Asked for the body when it is read, which is after the caller was let in.
  h1.on("checkContinue", handler);
  h1.on("checkExpectation", handler);
  // Node begins to look for late headers and requests when a server listens; this one is handed its connections.
  h1.emit("listening");
  const h2 = http2.createServer(http2Options(limits), handler as unknown as Http2Handler);
  const server = net.createServer({ noDelay: true }, (socket) => {
    const timer = setTimeout(() => socket.destroy(), limits.firstBytesMs);
    socket.once("close", () => clearTimeout(timer));
    lookAtFirstBytes(socket, (http2Begins) => {
      clearTimeout(timer);
      (http2Begins ? h2 : h1).emit("connection", socket);
    });
  });
  return { h1, h2, server };
}

// "PRI * HTTP/2.0" (RFC 9113, 3.4); no method of HTTP/1.1 begins like it.
const PREFACE_BYTES = 3;

function lookAtFirstBytes(socket: net.Socket, tell: (http2Begins: boolean) => void): void {
  let seen: Buffer = Buffer.alloc(0);
  const look = () => {
    const bytes: Buffer | null = socket.read();
    if (bytes === null) return;
    seen = Buffer.concat([seen, bytes]);
    if (seen.length < PREFACE_BYTES) return;
    socket.off("readable", look);
    // Not before: what is put back is readable at once, and would be looked at for ever.
    socket.unshift(seen);
    tell(seen.subarray(0, PREFACE_BYTES).toString("latin1") === "PRI");
  };
  socket.on("readable", look);
}

function overTls(handler: NodeHandler, limits: HttpLimits, tls: TlsPem) {
  const h2 = http2.createSecureServer(
    {
      ...http2Options(limits),
      ...httpOptions(limits),
      cert: tls.cert,
      key: tls.key,
      allowHTTP1: true,
      minVersion: "TLSv1.2",
      handshakeTimeout: limits.firstBytesMs,
    },
    handler as unknown as Http2Handler,
  );
  h2.on("checkContinue", handler as unknown as Http2Handler);
  h2.on("tlsClientError", (_reason, socket) => socket.destroy());
  // The same server takes HTTP/1.1, and has its way of closing what is idle; its types do not say so.
  return { h1: h2 as unknown as http.Server, h2, server: h2 as net.Server };
}

function httpOptions(limits: HttpLimits) {
  return {
    maxHeaderSize: limits.headerBytes,
    headersTimeout: limits.headersMs,
    requestTimeout: limits.requestMs,
    connectionsCheckingInterval: Math.min(5_000, limits.headersMs),
    keepAliveTimeout: 30_000,
    keepAlive: true,
    noDelay: true,
    // A body by Transfer-Encoding and Content-Length both, or a loosely written header, is refused.
    insecureHTTPParser: false,
  };
}

function http2Options(limits: HttpLimits): http2.ServerOptions {
  return {
    settings: {
      maxConcurrentStreams: limits.streamsPerConnection,
      maxHeaderListSize: limits.headerBytes,
      enablePush: false,
    },
    maxHeaderListPairs: limits.headerPairs,
    maxSessionInvalidFrames: 100,
    maxSessionRejectedStreams: 100,
    maxSessionMemory: 10,
    peerMaxConcurrentStreams: limits.streamsPerConnection,
    unknownProtocolTimeout: limits.firstBytesMs,
  };
}
