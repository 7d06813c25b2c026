import { randomUUID } from "node:crypto";
import type { DescMessage, DescService, Message } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import { type Client, Code, ConnectError, createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { tries } from "../process/wait.ts";
import type { Cli } from "./cli.ts";
import { CliError, EXIT } from "./exit-codes.ts";
import { nodeCauseOf } from "./node-cause.ts";
import { type CliSettings, chooseSettings } from "./settings.ts";

export interface Server {
  settings: CliSettings;
  transport: Transport;
  client<S extends DescService>(service: S): Client<S>;
}

const CALL_TIMEOUT_MS = 30_000;
const MOST_TRIES = 4;

/**
 * Opens the server that the settings name. Each call carries the token; each mutation a request_id of its own, kept
 * while it is repeated for UNAVAILABLE. Throws CliError when nobody is signed in, unless told that nobody needs to be.
 */
export function openServer(cli: Cli, { signedOut = false }: { signedOut?: boolean } = {}): Server {
  const settings = chooseSettings(cli);
  cli.server = { url: settings.server.value, source: settings.server.source };
  if (!settings.token && !signedOut) throw notSignedIn(settings);
  return serverAt(cli, settings);
}

/** The same for settings that are already chosen. */
export function serverAt(cli: Cli, settings: CliSettings): Server {
  cli.server = { url: settings.server.value, source: settings.server.source };
  const transport = createConnectTransport({
    baseUrl: settings.server.value,
    httpVersion: "1.1",
    interceptors: [signIn(settings.token?.value), giveRequestId, retryUnavailable(cli.io.signal), bound(cli.io.signal)],
  });
  return { settings, transport, client: (service) => createClient(service, transport) };
}

function notSignedIn({ server }: CliSettings): CliError {
  return new CliError(
    EXIT.refused,
    `You are not signed in to ${server.value} (from ${server.source}). Run \`ritmo auth login --server ${server.value}\`, or set RITMO_TOKEN; \`npm start\` signs its own machine in.`,
  );
}

function signIn(token: string | undefined): Interceptor {
  return (next) => (request) => {
    if (token !== undefined) request.header.set("authorization", `Bearer ${token}`);
    return next(request);
  };
}

const giveRequestId: Interceptor = (next) => (request) => {
  if (!request.stream) fillRequestId(request.method.input, request.message);
  return next(request);
};

/** Puts a fresh UUID where a request has a request_id and nobody gave one. */
export function fillRequestId(schema: DescMessage, message: Message): void {
  const field = schema.fields.find((f) => f.name === "request_id");
  const values = message as unknown as Record<string, unknown>;
  if (field && values[field.localName] === "") values[field.localName] = randomUUID();
}

function retryUnavailable(signal: AbortSignal): Interceptor {
  return (next) => async (request) => {
    if (request.stream) return next(request);
    for await (const n of tries({ baseMs: 200, capMs: 2_000 }, signal)) {
      try {
        return await next(request);
      } catch (reason) {
        const again = n + 1 < MOST_TRIES && isUnavailable(reason) && !(isRead(request.method) && isDown(reason));
        if (!again) throw reason;
      }
    }
    throw new ConnectError("interrupted", Code.Canceled);
  };
}

function isRead(method: { idempotency: MethodOptions_IdempotencyLevel }): boolean {
  return method.idempotency === MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS;
}

/** Aborted is what the transport makes of a connection that breaks before the answer. */
function isUnavailable(reason: unknown): boolean {
  const error = ConnectError.from(reason);
  return error.code === Code.Unavailable || (error.code === Code.Aborted && nodeCauseOf(error) !== undefined);
}

function isDown(reason: unknown): boolean {
  return ["ECONNREFUSED", "ENOTFOUND"].includes(nodeCauseOf(reason)?.code ?? "");
}

/** Every call ends at Ctrl-C, and a unary one when no answer comes. */
function bound(interrupted: AbortSignal): Interceptor {
  return (next) => async (request) => {
    if (request.stream) return next({ ...request, signal: AbortSignal.any([request.signal, interrupted]) });
    const late = AbortSignal.timeout(CALL_TIMEOUT_MS);
    try {
      return await next({ ...request, signal: AbortSignal.any([request.signal, interrupted, late]) });
    } catch (reason) {
      if (late.aborted) throw new ConnectError(`no answer within ${CALL_TIMEOUT_MS / 1000} s`, Code.DeadlineExceeded);
      throw reason;
    }
  };
}
