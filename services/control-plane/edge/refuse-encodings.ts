import * as grpc from "@grpc/grpc-js";

/**
 * Refuses calls that name an encoding for their messages: UNIMPLEMENTED with the encodings that there are
 * (https://github.com/grpc/grpc/blob/master/doc/compression.md). What is no such encoding, grpc-js would answer as an
 * internal error.
 */
export const refuseEncodings: grpc.ServerInterceptor = (_method, call) => {
  // grpc-js keeps the header here and takes it out of the metadata; in a version that does not, the test tells.
  const encoding: unknown = Reflect.get(call, "incomingEncoding");
  if (typeof encoding !== "string" || encoding === "identity") return new grpc.ServerInterceptingCall(call);
  const refuse = () => {
    const metadata = new grpc.Metadata();
    metadata.set("grpc-accept-encoding", "identity");
    const details = "messages are not compressed here";
    call.sendStatus({ code: grpc.status.UNIMPLEMENTED, details, metadata });
  };
  return new grpc.ServerInterceptingCall(call, new grpc.ResponderBuilder().withStart(refuse).build());
};
