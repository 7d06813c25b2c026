import type { ServerHttp2Session } from "node:http2";
import type { HttpLimits } from "./http-limits.ts";

/**
 * Ends an HTTP/2 connection that opens no stream for too long (also while it sends headers that never end), and one
 * whose other end no longer answers pings: nothing else would notice a peer that vanished.
 */
export function watchSession(session: ServerHttp2Session, limits: HttpLimits): void {
  let open = 0;
  let idle = setTimeout(() => session.destroy(), limits.firstStreamMs);
  session.on("stream", (stream) => {
    open++;
    clearTimeout(idle);
    stream.once("close", () => {
      open--;
      if (open > 0 || session.closed) return;
      idle = setTimeout(() => session.close(), limits.idleMs);
    });
  });
  let waiting = false;
  const pings = setInterval(() => {
    if (session.destroyed) return;
    if (waiting) {
      session.destroy();
      return;
    }
    waiting = session.ping((reason) => {
      waiting = reason !== null;
    });
  }, limits.pingMs);
  pings.unref();
  session.on("error", () => session.destroy());
  session.once("close", () => {
    clearTimeout(idle);
    clearInterval(pings);
  });
}
