import type { DescMethod } from "@bufbuild/protobuf";
import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import * as grpc from "@grpc/grpc-js";
import type { Logger } from "../../process/logger.ts";
import type { ListenAddress } from "../../process/setting-kinds.ts";
import { sleep } from "../../process/wait.ts";
import type { WorkerCaller } from "../identity/caller.ts";
import { authorizeWorkers, type Lookup } from "./authorize.ts";
import { endWithSignal, translateErrors } from "./interceptors.ts";
import { listenFault, showAddress } from "./listen.ts";
import { readTls, type TlsFiles } from "./read-tls.ts";
import { recheckCaller } from "./recheck-caller.ts";
import { refuseEncodings } from "./refuse-encodings.ts";
import type { Routes } from "./serve-connect.ts";
import { grpcRouter } from "./serve-grpc.ts";
import type { OpenServer } from "./web-server.ts";

export interface WorkerServerOptions {
  listen: ListenAddress;
  routes: Routes;
  /** Which worker a token is. */
  lookup: Lookup<WorkerCaller>;
  logger: Logger;
  tls?: TlsFiles;
  interceptors?: Interceptor[];
  onRefused?: (method: DescMethod, reason: unknown) => void;
  /** How often an open stream's token is looked up again. */
  recheckMs?: number;
}

const RECHECK_MS = 15_000;
const GRACE_MS = 5_000;
const MESSAGE_BYTES = 1024 * 1024;
const OVERHEAD_BYTES = 64 * 1024;

// A frozen worker is noticed after a ping and its answer's time. A worker pings as often itself.
const SERVER_OPTIONS: grpc.ServerOptions = {
  "grpc.keepalive_time_ms": 10_000,
  "grpc.keepalive_timeout_ms": 5_000,
  "grpc.keepalive_permit_without_calls": 1,
  "grpc.max_receive_message_length": MESSAGE_BYTES + OVERHEAD_BYTES,
  "grpc.max_concurrent_streams": 1_000,
  "grpc.max_metadata_size": 16 * 1024,
};

/** The worker port: gRPC by grpc-js, whose pings notice a peer that vanished. Rejects as openWebServer does. */
export async function openWorkerServer(options: WorkerServerOptions): Promise<OpenServer> {
  const { logger, lookup } = options;
  const stopping = new AbortController();
  const authorize = authorizeWorkers(lookup);
  const server = new grpc.Server({ ...SERVER_OPTIONS, interceptors: [refuseEncodings] });
  const router = grpcRouter(server, {
    authorize,
    interceptors: [
      ...(options.interceptors ?? []),
      translateErrors(logger),
      endWithSignal(recheckCaller(authorize), options.recheckMs ?? RECHECK_MS),
    ],
    shutdownSignal: stopping.signal,
    logger,
    ...(options.onRefused ? { onRefused: options.onRefused } : {}),
  });
  options.routes(router as Parameters<Routes>[0]);
  const port = await bind(server, options);
  return {
    address: showAddress(options.listen.host, port),
    port,
    async stop(graceMs = GRACE_MS) {
      const ended = new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
      stopping.abort(new ConnectError("the server is stopping; connect again", Code.Unavailable));
      await Promise.race([ended, sleep(graceMs)]);
      server.forceShutdown();
    },
  };
}

function bind(server: grpc.Server, { listen: { host, port }, tls }: WorkerServerOptions): Promise<number> {
  const address = showAddress(host, port);
  return new Promise((resolve, reject) => {
    server.bindAsync(address, credentials(tls), (reason, taken) => {
      if (reason) reject(workerListenFault(reason, host, port));
      else resolve(taken);
    });
  });
}

/** grpc-js gives the cause as text only. */
function workerListenFault(reason: Error, host: string, port: number): Error {
  const code = /\b(EADDRINUSE|EACCES|EADDRNOTAVAIL|ENOTFOUND)\b/.exec(reason.message)?.[1];
  return listenFault(Object.assign(reason, code ? { code } : {}), host, port);
}

function credentials(files: TlsFiles = {}): grpc.ServerCredentials {
  const tls = readTls(files, "worker port");
  if (!tls) return grpc.ServerCredentials.createInsecure();
  const pair = { cert_chain: tls.cert, private_key: tls.key };
  return grpc.ServerCredentials.createSsl(tls.ca ?? null, [pair], tls.ca !== undefined);
}
