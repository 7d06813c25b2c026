import type { ServerHttp2Stream } from "node:http2";
import type { NodeRequest, NodeResponse } from "./serve-connect.ts";

/** On every answer of the public port. What a page needs more, it sets itself. */
export function setSecurityHeaders(response: NodeResponse, encrypted: boolean): void {
  response.setHeader("content-security-policy", "default-src 'none'; frame-ancestors 'none'");
  response.setHeader("x-content-type-options", "nosniff");
  response.setHeader("x-frame-options", "DENY");
  response.setHeader("referrer-policy", "no-referrer");
  response.setHeader("cross-origin-resource-policy", "same-origin");
  response.setHeader("cross-origin-opener-policy", "same-origin");
  response.setHeader("cache-control", "no-store");
  if (encrypted) response.setHeader("strict-transport-security", "max-age=31536000");
}

/** A path that nothing is served at: the same answer for everybody, in words that gRPC and Connect understand. */
export function answerNotFound(request: NodeRequest, response: NodeResponse): void {
  const type = String(request.headers["content-type"] ?? "");
  if (type.startsWith("application/grpc") && request.stream) {
    response.writeHead(200, {
      "content-type": "application/grpc",
      "grpc-status": "12",
      "grpc-message": "no such method",
    });
    response.end();
    return;
  }
  announceClose(request, response);
  answerJson(response, 404, "unimplemented", "nothing is served here");
}

export function answerJson(response: NodeResponse, status: number, code: string, message: string): void {
  const body = JSON.stringify({ code, message });
  response.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(body) });
  response.end(body);
}

const LINGER_MS = 500;
const NO_ERROR = 0;

/**
 * Lets nobody go on sending a body whose answer is already given. Over HTTP/2 the stream is reset without an error
 * (RFC 9113, 8.1). Over HTTP/1.1 a short rest is read and dropped, so that the connection can be used again; one that
 * is not over a moment later is cut off.
 */
export function closeUnread(request: NodeRequest, response: NodeResponse): void {
  if (request.stream) closeUnreadStream(request, request.stream);
  else response.once("finish", () => later(request, () => request.socket.destroy()));
}

function closeUnreadStream(request: NodeRequest, stream: ServerHttp2Stream): void {
  // Node asks for the trailers once all data has left, and has sent them a turn later; only then may the stream be
  // reset. An answer that is nothing but headers asks for none.
  stream.once("wantTrailers", () => {
    setImmediate(() => {
      if (!request.complete) stream.close(NO_ERROR);
    });
  });
  stream.once("finish", () => later(request, () => stream.close(NO_ERROR)));
}

function later(request: NodeRequest, cutOff: () => void): void {
  if (request.complete) return;
  const timer = setTimeout(() => {
    if (!request.complete) cutOff();
  }, LINGER_MS);
  timer.unref();
  request.once("close", () => clearTimeout(timer));
}

const SHORT_BYTES = 64 * 1024;

/**
 * Tells, where a body is not going to be read, that the connection ends with this answer, if the body says that it is
 * long. One in chunks does not say: Node would end the connection with the answer, and a caller who is about to send
 * its two bytes would hear of a broken pipe instead of the refusal. Those have the same moment as short ones.
 */
export function announceClose(request: NodeRequest, response: NodeResponse): void {
  if (request.stream || request.complete) return;
  if (Number(request.headers["content-length"]) > SHORT_BYTES) response.setHeader("connection", "close");
}
