import type { ConnectError } from "@connectrpc/connect";
import { headerGrpcMessage, headerGrpcStatus, setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import * as grpc from "@grpc/grpc-js";

/** Headers as grpc-js's metadata; values of `-bin` keys are bytes there. */
export function metadataOf(headers: Headers): grpc.Metadata {
  const metadata = new grpc.Metadata();
  for (const [name, value] of headers) {
    metadata.add(name, name.endsWith("-bin") ? Buffer.from(value, "base64") : value);
  }
  return metadata;
}

/** An error as grpc-js sends it, with its details in `grpc-status-details-bin` as on the public port. */
export function statusOf(error: ConnectError, trailer: Headers): grpc.ServiceError {
  const headers = setTrailerStatus(new Headers(trailer), error);
  headers.delete(headerGrpcStatus);
  headers.delete(headerGrpcMessage);
  return Object.assign(new Error(error.rawMessage), {
    code: error.code as number,
    details: error.rawMessage,
    metadata: metadataOf(headers),
  });
}
