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
  answerJson(response, 404, "unimplemented", "nothing is served here");
}

export function answerJson(response: NodeResponse, status: number, code: string, message: string): void {
  const body = JSON.stringify({ code, message });
  response.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(body) });
  response.end(body);
}

/**
 * Lets nobody go on sending a body whose answer is already given: over HTTP/2 the stream is reset without an error
 * (RFC 9113, 8.1), over HTTP/1.1 the connection is closed, a moment later so that the answer can be read.
 */
export function closeUnread(request: NodeRequest, response: NodeResponse): void {
  response.once("finish", () => {
    if (request.complete) return;
    if (request.stream) {
      request.stream.close(0);
      return;
    }
    const { socket } = request;
    socket.end();
    setTimeout(() => socket.destroy(), LINGER_MS).unref();
  });
}

const LINGER_MS = 500;
