import { readFileSync } from "node:fs";
import {
  type DescMessage,
  type DescMethodBiDiStreaming,
  type DescMethodClientStreaming,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  fromBinary,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import {
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  type ClientWritableStream,
  credentials,
  Metadata,
} from "@grpc/grpc-js";
import type { ControlPlaneAddress } from "../config.ts";

export interface Tls {
  ca?: string | undefined;
  cert?: string | undefined;
  key?: string | undefined;
}

/** One connection to one control plane, with the contract's messages in and out. Errors are grpc-js ServiceErrors. */
export interface WorkerClient {
  unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageShape<I>,
    options: { timeoutMs: number; signal?: AbortSignal | undefined },
  ): Promise<MessageShape<O>>;
  duplex<I extends DescMessage, O extends DescMessage>(
    method: DescMethodBiDiStreaming<I, O>,
  ): ClientDuplexStream<MessageShape<I>, MessageShape<O>>;
  upstream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodClientStreaming<I, O>,
    answer: (reason: Error | null, response?: MessageShape<O>) => void,
  ): ClientWritableStream<MessageShape<I>>;
  downstream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodServerStreaming<I, O>,
    request: MessageShape<I>,
  ): ClientReadableStream<MessageShape<O>>;
  close(): void;
}

const OPTIONS = {
  // Without this two clients of one address share one TCP connection, and a log's bytes delay the reports.
  "grpc.use_local_subchannel_pool": 1,
  "grpc.keepalive_time_ms": 5_000,
  "grpc.keepalive_timeout_ms": 5_000,
  "grpc.keepalive_permit_without_calls": 1,
  // The link has a backoff of its own, with jitter; the channel's must not stand in its way.
  "grpc.initial_reconnect_backoff_ms": 50,
  "grpc.max_reconnect_backoff_ms": 1_000,
  "grpc.max_receive_message_length": 4 * 1024 * 1024,
  "grpc.enable_retries": 0,
} as const;

/** Opens a connection of its own (lazily: it dials at the first call); never shared with another client. */
export function openWorkerClient(address: ControlPlaneAddress, token: string, tls: Tls): WorkerClient {
  const client = new Client(address.target, channelCredentials(address, tls), OPTIONS);
  const metadata = () => {
    const headers = new Metadata();
    headers.set("authorization", `Bearer ${token}`);
    return headers;
  };
  return {
    unary: (method, request, { timeoutMs, signal }) =>
      new Promise((resolve, reject) => {
        const call = client.makeUnaryRequest(
          pathOf(method),
          encoder(method.input),
          decoder(method.output),
          request,
          metadata(),
          { deadline: Date.now() + timeoutMs },
          (reason, response) => {
            signal?.removeEventListener("abort", cancel);
            if (reason) reject(reason);
            else resolve(response as NonNullable<typeof response>);
          },
        );
        const cancel = () => call.cancel();
        if (signal?.aborted) cancel();
        else signal?.addEventListener("abort", cancel, { once: true });
      }),
    duplex: (method) =>
      client.makeBidiStreamRequest(pathOf(method), encoder(method.input), decoder(method.output), metadata()),
    upstream: (method, answer) =>
      client.makeClientStreamRequest(pathOf(method), encoder(method.input), decoder(method.output), metadata(), answer),
    downstream: (method, request) =>
      client.makeServerStreamRequest(
        pathOf(method),
        encoder(method.input),
        decoder(method.output),
        request,
        metadata(),
      ),
    close: () => client.close(),
  };
}

function channelCredentials(address: ControlPlaneAddress, tls: Tls) {
  if (!address.tls && !tls.ca) return credentials.createInsecure();
  const read = (file: string | undefined) => (file ? readFileSync(file) : null);
  return credentials.createSsl(read(tls.ca), read(tls.key), read(tls.cert));
}

function pathOf(method: { parent: { typeName: string }; name: string }): string {
  return `/${method.parent.typeName}/${method.name}`;
}

function encoder<D extends DescMessage>(desc: D) {
  return (message: MessageShape<D>): Buffer => {
    const bytes = toBinary(desc, message);
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  };
}

function decoder<D extends DescMessage>(desc: D) {
  return (bytes: Buffer): MessageShape<D> => fromBinary(desc, bytes);
}
