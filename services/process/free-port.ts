import { readFileSync } from "node:fs";
import { createServer } from "node:net";

const TRIES = 100;

/**
 * A TCP port that nobody listens on now and that the system gives to no outgoing connection: one below the range of
 * those. A port from that range is easily lost between asking for it and listening on it.
 */
export async function freePort(host = "127.0.0.1"): Promise<number> {
  const below = firstEphemeralPort();
  const from = Math.min(10_000, below - 1_000);
  for (let n = 0; n < TRIES; n++) {
    const port = from + Math.floor(Math.random() * (below - from));
    if (await canListen(host, port)) return port;
  }
  throw new Error(`no port from ${from} to ${below - 1} is free on ${host}`);
}

function firstEphemeralPort(): number {
  try {
    const first = Number(readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8").trim().split(/\s+/)[0]);
    return first > 12_000 ? first : 32_768;
  } catch {
    // IANA's range, which the BSDs and macOS keep to.
    return 49_152;
  }
}

function canListen(host: string, port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", (reason: NodeJS.ErrnoException) => {
      if (reason.code === "EADDRINUSE" || reason.code === "EACCES") resolve(false);
      else reject(reason);
    });
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}
