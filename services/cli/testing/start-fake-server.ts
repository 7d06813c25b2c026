import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, type ConnectRouter, type Interceptor } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { BadRequestSchema, ErrorInfoSchema } from "@ritmo/contract/google/rpc/error_details_pb.js";

export const GOOD_TOKEN = "rt_good";

export interface FakeServer extends AsyncDisposable {
  url: string;
  /** For runCli: this server and a token that it knows. */
  env: Record<string, string>;
  /** Every call that came in, as it was sent. */
  calls: { method: string; token: string | null; requestId: string | undefined }[];
  /** Breaks every connection. */
  drop(): void;
  stop(): Promise<void>;
  /** Listens again, at the same address. */
  start(): Promise<void>;
}

/** A peer that speaks the contract on a real port and answers as a test says. */
export async function startFakeServer(routes: (router: ConnectRouter) => void): Promise<FakeServer> {
  const calls: FakeServer["calls"] = [];
  const watch: Interceptor = (next) => (request) => {
    const token = request.header.get("authorization");
    const requestId = request.stream ? undefined : (request.message as { requestId?: string }).requestId;
    calls.push({ method: request.method.name, token, requestId });
    const open = ["ExchangeSetupCode", "Check"].includes(request.method.name);
    if (!open && token !== `Bearer ${GOOD_TOKEN}`)
      throw refusal(Code.Unauthenticated, "TOKEN_UNKNOWN", "this token is not known");
    return next(request);
  };
  const handler = connectNodeAdapter({ routes, interceptors: [watch] });
  const http = createServer(handler);
  const listen = (port: number) =>
    new Promise<number>((resolve, reject) => {
      http.once("error", reject);
      http.listen(port, "127.0.0.1", () => resolve((http.address() as AddressInfo).port));
    });
  const port = await listen(0);
  const url = `http://127.0.0.1:${port}`;
  const stop = () =>
    new Promise<void>((resolve) => {
      http.close(() => resolve());
      http.closeAllConnections();
    });
  return {
    url,
    env: { RITMO_SERVER: url, RITMO_TOKEN: GOOD_TOKEN },
    calls,
    drop: () => http.closeAllConnections(),
    stop,
    start: async () => void (await listen(port)),
    [Symbol.asyncDispose]: stop,
  };
}

/** An error as the server puts it on the wire. */
export function refusal(
  code: Code,
  reason: string,
  message: string,
  violations: Record<string, string> = {},
): ConnectError {
  const fieldViolations = Object.entries(violations).map(([field, description]) => ({ field, description }));
  return new ConnectError(message, code, undefined, [
    { desc: ErrorInfoSchema, value: create(ErrorInfoSchema, { reason, domain: "ritmo" }) },
    ...(fieldViolations.length > 0
      ? [{ desc: BadRequestSchema, value: create(BadRequestSchema, { fieldViolations }) }]
      : []),
  ]);
}
