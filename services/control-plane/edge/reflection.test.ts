import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { ServerReflection } from "@ritmo/contract/grpc/reflection/v1/reflection_pb.js";
import { ServerReflection as Alpha } from "@ritmo/contract/grpc/reflection/v1alpha/reflection_pb.js";
import { expect, test } from "vitest";
import { openTestPort, PUBLIC_SERVICES, TOKENS } from "../../testing/edge-ports.ts";
import { addStandardServices } from "./standard-services.ts";

const BUF = new URL("../../../node_modules/.bin/buf", import.meta.url).pathname;
const run = promisify(execFile);
const buf = async (...args: string[]) => (await run(BUF, ["curl", ...args], { timeout: 20_000 })).stdout;

test.each([
  ["connect", ["--protocol", "connect"]],
  ["grpc", ["--protocol", "grpc", "--http2-prior-knowledge"]],
  ["grpcweb", ["--protocol", "grpcweb"]],
])("buf curl needs no files: %s", async (_, protocol) => {
  await using port = await openTestPort();
  const token = `authorization: Bearer ${TOKENS.read}`;
  const answer = await buf(
    ...protocol,
    "-H",
    token,
    "-d",
    "{}",
    `${port.url}/ritmo.identity.v1.IdentityService/WhoAmI`,
  );
  expect(JSON.parse(answer)).toEqual({ organization: "org_default" });
});

test("it lists what is served", async () => {
  await using port = await openTestPort();
  const listed = await buf("--protocol", "grpc", "--http2-prior-knowledge", "--list-services", port.url);
  expect(listed.trim().split("\n")).toEqual(
    [
      ...PUBLIC_SERVICES.map((service) => service.typeName),
      "grpc.health.v1.Health",
      "grpc.reflection.v1.ServerReflection",
      "grpc.reflection.v1alpha.ServerReflection",
    ].sort(),
  );
});

const symbols = [
  ["a service", "ritmo.job.v1.JobService", "ritmo/job/v1/job.proto"],
  ["a method", "ritmo.job.v1.JobService.GetJob", "ritmo/job/v1/job.proto"],
  ["a message", "ritmo.build.v1.Build", "ritmo/build/v1/build.proto"],
  ["a field", "ritmo.job.v1.Job.name", "ritmo/job/v1/job.proto"],
  ["an imported message", "google.protobuf.Timestamp", "google/protobuf/timestamp.proto"],
] as const;

test.each(symbols)("%s leads to its file and all that it imports", async (_, symbol, file) => {
  await using port = await openTestPort();
  for (const service of [ServerReflection, Alpha]) {
    const [answer] = await ask(port.url, service, [
      { messageRequest: { case: "fileContainingSymbol", value: symbol } },
    ]);
    expect(answer?.messageResponse.case).toBe("fileDescriptorResponse");
    const response = answer?.messageResponse.value as { fileDescriptorProto: Uint8Array[] };
    expect(Buffer.from(response.fileDescriptorProto[0] ?? []).includes(file)).toBe(true);
  }
});

test("what is not there is answered, and the stream goes on", async () => {
  await using port = await openTestPort();
  const answers = await ask(port.url, ServerReflection, [
    { messageRequest: { case: "fileContainingSymbol", value: "ritmo.none.v1.X" } },
    { messageRequest: { case: "fileContainingSymbol", value: "ritmo.job.v1.JobService.Nothing" } },
    { messageRequest: { case: "fileByFilename", value: "/etc/passwd" } },
    { messageRequest: { case: "fileContainingSymbol", value: "" } },
    { messageRequest: { case: undefined } },
    { messageRequest: { case: "fileByFilename", value: "ritmo/job/v1/job.proto" } },
  ]);
  expect(answers.map((answer) => answer.messageResponse.case)).toEqual([
    ...Array.from({ length: 5 }, () => "errorResponse"),
    "fileDescriptorResponse",
  ]);
});

test("switched off, it is as if it had never been; health stays", async () => {
  await using port = await openTestPort({
    routes: (router) => addStandardServices(router, { isReady: () => true, reflection: false }),
  });
  const path = `${port.url}/grpc.reflection.v1.ServerReflection/ServerReflectionInfo`;
  expect((await fetch(path, { method: "POST" })).status).toBe(404);
  const health = await fetch(`${port.url}/grpc.health.v1.Health/Check`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: "{}",
  });
  expect(await health.json()).toEqual({ status: "SERVING" });
});

type Request = { messageRequest: { case: string | undefined; value?: string } };

async function ask(baseUrl: string, service: typeof ServerReflection | typeof Alpha, requests: Request[]) {
  async function* send() {
    yield* requests;
  }
  const client = createClient(service as typeof ServerReflection, createGrpcTransport({ baseUrl }));
  const answers = [];
  for await (const answer of client.serverReflectionInfo(send() as never)) answers.push(answer);
  return answers;
}
