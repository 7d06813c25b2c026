import http from "node:http";
import type { AddressInfo } from "node:net";
import type { ListenAddress } from "./setting-kinds.ts";

/** What a part needs to be ready: a name, and undefined or, in one line, what is wrong. */
export type Readiness = () => Promise<Record<string, string | undefined>> | Record<string, string | undefined>;

export interface MetricsServerOptions {
  listen: ListenAddress;
  /** The text of /metrics and its media type. */
  metrics: () => Promise<{ text: string; contentType: string }>;
  readiness: Readiness;
}

export interface MetricsServer {
  address: string;
  port: number;
  stop(): Promise<void>;
}

/**
 * /metrics, /healthz (the process answers) and /readyz (503, and which dependency is not ready, as JSON) on a port of
 * their own, which need not be reachable from outside. Rejects with one line when the address can't be had.
 */
export async function openMetricsServer(options: MetricsServerOptions): Promise<MetricsServer> {
  const server = http.createServer({ requestTimeout: 10_000, headersTimeout: 5_000 }, (request, response) => {
    answer(request, options).then(
      ({ status, type, body }) => {
        response.writeHead(status, {
          "content-type": type,
          "cache-control": "no-store",
          "x-content-type-options": "nosniff",
        });
        response.end(request.method === "HEAD" ? undefined : body);
      },
      () => {
        response.writeHead(503, { "content-type": "text/plain" });
        response.end("not available\n");
      },
    );
  });
  const { host, port } = options.listen;
  await new Promise<void>((resolve, reject) => {
    server.once("error", (reason) => reject(new Error(`can't serve metrics at ${host}:${port}: ${reason.message}`)));
    server.listen({ host, port }, resolve);
  });
  const taken = (server.address() as AddressInfo).port;
  return {
    address: host.includes(":") ? `[${host}]:${taken}` : `${host}:${taken}`,
    port: taken,
    async stop() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}

interface Answer {
  status: number;
  type: string;
  body: string;
}

async function answer(request: http.IncomingMessage, options: MetricsServerOptions): Promise<Answer> {
  if (request.method !== "GET" && request.method !== "HEAD") return text(405, "only GET\n");
  switch ((request.url ?? "").split("?", 1)[0]) {
    case "/metrics": {
      const { text: body, contentType } = await options.metrics();
      return { status: 200, type: contentType, body };
    }
    case "/healthz":
      return text(200, "ok\n");
    case "/readyz":
      return readyz(await options.readiness());
    default:
      return text(404, "/metrics /healthz /readyz\n");
  }
}

function readyz(parts: Record<string, string | undefined>): Answer {
  const ready = Object.values(parts).every((problem) => problem === undefined);
  const shown = Object.fromEntries(Object.entries(parts).map(([name, problem]) => [name, problem ?? "ok"]));
  return { status: ready ? 200 : 503, type: "application/json", body: `${JSON.stringify({ ready, parts: shown })}\n` };
}

function text(status: number, body: string): Answer {
  return { status, type: "text/plain; charset=utf-8", body };
}
