import * as grpc from "@grpc/grpc-js";

const PATH = "/bench.Echo/Echo";
const METHOD = {
  path: PATH,
  requestStream: true,
  responseStream: true,
  requestSerialize: (value: Buffer) => value,
  requestDeserialize: (value: Buffer) => value,
  responseSerialize: (value: Buffer) => value,
  responseDeserialize: (value: Buffer) => value,
} as const;

/** Round trips of a small message over one bidirectional stream of grpc-js, in milliseconds. */
export async function measureBareStream(count: number): Promise<number[]> {
  const server = new grpc.Server();
  server.addService(
    { Echo: METHOD },
    {
      Echo: (call: grpc.ServerDuplexStream<Buffer, Buffer>) => {
        call.on("data", (message: Buffer) => call.write(message));
        call.on("end", () => call.end());
      },
    },
  );
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (reason, taken) =>
      reason ? reject(reason) : resolve(taken),
    ),
  );
  const client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
  const call = client.makeBidiStreamRequest(PATH, METHOD.requestSerialize, METHOD.responseDeserialize);
  const took: number[] = [];
  for (let i = 0; i < count; i++) {
    const before = performance.now();
    const answer = new Promise((resolve) => call.once("data", resolve));
    call.write(Buffer.from("a line\n"));
    await answer;
    took.push(performance.now() - before);
  }
  const ended = new Promise((resolve) => call.once("end", resolve));
  call.end();
  await ended;
  client.close();
  server.forceShutdown();
  return took;
}
