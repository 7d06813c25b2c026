import http from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";

/** What a healthy S3 server does not do, and one that is far away or ill does. */
export type S3Fault =
  /** 503 SlowDown; nothing was done. */
  | "slow down"
  /** Done, and answered with 500. */
  | "500 after apply"
  /** Nothing was done; 200 with an error in the body, as S3 may answer CompleteMultipartUpload. */
  | "error in 200"
  /** Half of the body, then the connection is cut. */
  | "cut body"
  /** Half of the body, and a length to match. */
  | "short body"
  /** One byte is another one. */
  | "corrupted"
  | "wrong etag"
  /** Nothing is ever said. */
  | "silence"
  /** The connection is reset before anything was done. */
  | "reset"
  /** 403 RequestTimeTooSkewed. */
  | "skewed"
  /** 403 AccessDenied. */
  | "forbidden";

export interface S3Request {
  method: string;
  /** With its query. */
  url: string;
  fault: S3Fault | undefined;
}

export interface S3FaultProxy extends AsyncDisposable {
  endpoint: string;
  /** Every request so far. */
  seen: S3Request[];
  /** The next `times` requests that match meet this fault. */
  fail(fault: S3Fault, times: number, matches?: (request: S3Request) => boolean): void;
  /** Forgets faults that were not met, and what was seen. */
  calm(): void;
}

interface Plan {
  fault: S3Fault;
  left: number;
  matches: (request: S3Request) => boolean;
}

/** An HTTP proxy in front of a real S3 server. It keeps the Host that was signed. */
export async function startS3FaultProxy(target: string): Promise<S3FaultProxy> {
  const { hostname, port } = new URL(target);
  const seen: S3Request[] = [];
  const plans: Plan[] = [];
  const server = http.createServer((request, response) => {
    const { method = "GET", url = "/" } = request;
    const one: S3Request = { method, url, fault: undefined };
    const plan = plans.find(({ left, matches }) => left > 0 && matches(one));
    if (plan) {
      plan.left--;
      one.fault = plan.fault;
    }
    seen.push(one);
    answer(request, response, one.fault).catch(() => response.destroy());
  });

  async function answer(request: http.IncomingMessage, response: http.ServerResponse, fault: S3Fault | undefined) {
    if (fault === "reset") return void request.socket.resetAndDestroy();
    const body = await buffer(request);
    if (fault === "silence") return;
    if (fault === "slow down") return refuse(response, 503, "SlowDown", "Reduce your request rate.");
    if (fault === "error in 200") return refuse(response, 200, "InternalError", "We met an internal error. Try again.");
    if (fault === "skewed") return refuse(response, 403, "RequestTimeTooSkewed", "The clocks differ too much.");
    if (fault === "forbidden") return refuse(response, 403, "AccessDenied", "Access Denied.");
    const { status, headers, bytes } = await forward(request, body);
    if (fault === "500 after apply") return refuse(response, 500, "InternalError", "We met an internal error.");
    if (fault === "wrong etag") headers["etag"] = '"00000000000000000000000000000000"';
    if (fault === "corrupted" && bytes.length > 0) bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] as number) ^ 1;
    if (fault === "short body") {
      headers["content-length"] = String(bytes.length >> 1);
      response.writeHead(status, headers).end(bytes.subarray(0, bytes.length >> 1));
      return;
    }
    response.writeHead(status, headers);
    if (fault !== "cut body") return void response.end(bytes);
    response.write(bytes.subarray(0, bytes.length >> 1), () => setImmediate(() => response.destroy()));
  }

  function forward(request: http.IncomingMessage, body: Buffer) {
    return new Promise<{ status: number; headers: http.OutgoingHttpHeaders; bytes: Buffer }>((resolve, reject) => {
      const { method, url, headers } = request;
      const options = { hostname, port, method, path: url, headers: { ...headers, "content-length": body.length } };
      http
        .request(options, (answered) => {
          buffer(answered).then((bytes) => {
            const { "transfer-encoding": _, connection: __, ...kept } = answered.headers;
            const head = method === "HEAD" ? kept : { ...kept, "content-length": String(bytes.length) };
            resolve({ status: answered.statusCode ?? 500, headers: head, bytes });
          }, reject);
        })
        .on("error", reject)
        .end(body);
    });
  }

  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    fail: (fault, times, matches = () => true) => void plans.push({ fault, left: times, matches }),
    calm() {
      plans.length = 0;
      seen.length = 0;
    },
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

function refuse(response: http.ServerResponse, status: number, code: string, message: string): void {
  const text = `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>${message}</Message></Error>`;
  response
    .writeHead(status, { "content-type": "application/xml", "content-length": Buffer.byteLength(text) })
    .end(text);
}
