import http2 from "node:http2";
import { gzipSync } from "node:zlib";
import { create, toBinary } from "@bufbuild/protobuf";
import { ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { ErrorInfoSchema } from "@ritmo/contract/google/rpc/error_details_pb.js";
import { IdentityService, RevokeTokenRequestSchema } from "@ritmo/contract/ritmo/identity/v1/identity_pb.js";
import { CreateJobRequestSchema } from "@ritmo/contract/ritmo/job/v1/job_pb.js";
import { expect, test } from "vitest";
import { openTestPort, TOKENS } from "../../testing/edge-ports.ts";
import { envelope, post, request2, talk } from "../../testing/raw-http.ts";

const SMALL = "/ritmo.identity.v1.IdentityService/RevokeToken";
const LARGE = "/ritmo.job.v1.JobService/CreateJob";
const KIB = 1024;
const authorization = `Bearer ${TOKENS.admin}`;
const grpc = { authorization, "content-type": "application/grpc+proto", te: "trailers" };

const revoke = (bytes: number) =>
  toBinary(RevokeTokenRequestSchema, create(RevokeTokenRequestSchema, { id: "x".repeat(bytes) }));
const createJob = (bytes: number) =>
  toBinary(CreateJobRequestSchema, create(CreateJobRequestSchema, { job: { description: "x".repeat(bytes) } }));

test.each([
  ["64 KiB less its field's head", SMALL, revoke(64 * KIB - 4), "0"],
  ["one byte more", SMALL, revoke(64 * KIB - 3), "8"],
  ["a pipeline of 900 KiB", LARGE, createJob(900 * KIB), "0"],
  ["over 1 MiB", LARGE, createJob(KIB * KIB), "8"],
])("gRPC: %s", async (_, path, message, status) => {
  await using port = await openTestPort();
  const answer = await request2(port.url, { ...grpc, ":path": path }, (stream) => stream.end(envelope(message)));
  expect(answer.headers["grpc-status"] ?? answer.trailers["grpc-status"]).toBe(status);
});

test.each([
  ["64 KiB", SMALL, { id: "x".repeat(64 * KIB - 9) }, 200],
  ["one byte more", SMALL, { id: "x".repeat(64 * KIB - 8) }, 429],
  ["a pipeline of 900 KiB", LARGE, { job: { description: "x".repeat(900 * KIB) } }, 200],
  ["over 1 MiB", LARGE, { job: { description: "x".repeat(KIB * KIB) } }, 429],
])("Connect: %s", async (_, path, message, status) => {
  await using port = await openTestPort();
  const headers = { authorization, "content-type": "application/json" };
  const declared = await fetch(`${port.url}${path}`, { method: "POST", headers, body: JSON.stringify(message) });
  expect(declared.status).toBe(status);
  const body = new Blob([JSON.stringify(message)]).stream();
  const chunked = await fetch(`${port.url}${path}`, { method: "POST", headers, body, duplex: "half" } as RequestInit);
  expect(chunked.status).toBe(status);
});

test("four gigabytes are refused by their declaration alone", async () => {
  await using port = await openTestPort();
  const declared = await post(port.port, SMALL, { authorization, "Content-Length": "4294967295" }, "");
  expect(declared).toMatch(/^HTTP\/1.1 429 [\s\S]*"code":"resource_exhausted"/);
  // The connection stays open and silent after the head of the envelope.
  const answer = await request2(port.url, { ...grpc, ":path": SMALL }, (stream) =>
    stream.write(Buffer.from([0, 0xff, 0xff, 0xff, 0xff, 0, 0])),
  );
  expect(answer.headers["grpc-status"] ?? answer.trailers["grpc-status"]).toBe("8");
  expect(port.reached).toEqual([]);
});

test.each([
  ["a bomb", gzipSync(Buffer.alloc(64 * KIB * KIB)), "gzip", 429, "resource_exhausted"],
  ["cut off", gzipSync(JSON.stringify({ id: "x".repeat(500) })).subarray(0, 20), "gzip", 400, "invalid_argument"],
  ["no gzip at all", Buffer.from("hello"), "gzip", 400, "invalid_argument"],
  ["an encoding nobody has", Buffer.from("{}"), "x-nested", 501, "unimplemented"],
  ["brotli, which is not offered", Buffer.from("{}"), "br", 501, "unimplemented"],
  ["sound", gzipSync(JSON.stringify({ id: "abc" })), "gzip", 200, '"name":"3"'],
])("compressed: %s", async (_, body, encoding, status, says) => {
  await using port = await openTestPort();
  const answer = await post(port.port, SMALL, { authorization, "Content-Encoding": encoding }, body);
  expect(answer).toContain(says);
  expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
});

test("gRPC: a bomb stops at the limit, and a compressed message needs its encoding named", async () => {
  await using port = await openTestPort();
  const bomb = envelope(gzipSync(Buffer.alloc(32 * KIB * KIB)), 1);
  const stopped = await request2(port.url, { ...grpc, ":path": SMALL, "grpc-encoding": "gzip" }, (s) => s.end(bomb));
  expect(stopped.headers["grpc-status"] ?? stopped.trailers["grpc-status"]).toBe("8");
  const sound = envelope(gzipSync(revoke(3)), 1);
  const unnamed = await request2(port.url, { ...grpc, ":path": SMALL }, (s) => s.end(sound));
  expect(unnamed.headers["grpc-status"] ?? unnamed.trailers["grpc-status"]).toBe("3");
  const good = await request2(port.url, { ...grpc, ":path": SMALL, "grpc-encoding": "gzip" }, (s) => s.end(sound));
  expect(good.headers["grpc-status"] ?? good.trailers["grpc-status"]).toBe("0");
});

test("a message in frames of one byte arrives whole", async () => {
  await using port = await openTestPort();
  const message = envelope(revoke(32 * KIB));
  const answer = await request2(
    port.url,
    { ...grpc, ":path": SMALL },
    (stream) => void writeByteByByte(stream, message),
  );
  expect(answer.headers["grpc-status"] ?? answer.trailers["grpc-status"]).toBe("0");
  expect(answer.body.includes(Buffer.from(`${32 * KIB}`))).toBe(true);
});

test.each([
  ["a stray byte", Buffer.from([0xff])],
  ["a length beyond the end", Buffer.from([0x0a, 0x7f, 0x41])],
  ["a varint that never ends", Buffer.alloc(20, 0xff)],
  ["a text that is no UTF-8", Buffer.from([0x12, 2, 0xc3, 0x28])],
])("gRPC: no message at all: %s", async (_, bytes) => {
  await using port = await openTestPort();
  const answer = await request2(port.url, { ...grpc, ":path": SMALL }, (stream) => stream.end(envelope(bytes)));
  expect(answer.headers["grpc-status"] ?? answer.trailers["grpc-status"]).toBe("3");
});

test.each([
  ["no JSON", "{"],
  ["an array", "[]"],
  ["a number for a text", '{"id":1}'],
  ["an unknown enum", '{"id":{}}'],
  ["two hundred deep", `${'{"a":'.repeat(200)}1${"}".repeat(200)}`],
])("Connect: no message at all: %s", async (_, body) => {
  await using port = await openTestPort();
  const answer = await post(port.port, SMALL, { authorization }, body);
  expect(answer).toMatch(/^HTTP\/1.1 (400 [\s\S]*invalid_argument|200 )/);
});

test.each([
  ["a stray byte", Buffer.from([0xff])],
  ["a stray byte in gzip", gzipSync(Buffer.from([0xff]))],
])("Connect in protobuf's binary form: no message at all: %s", async (_, body) => {
  await using port = await openTestPort();
  const headers = { authorization, "Content-Type": "application/proto" };
  const encoding = body.length > 1 ? { "Content-Encoding": "gzip" } : {};
  expect(await post(port.port, SMALL, { ...headers, ...encoding }, body)).toMatch(/^HTTP\/1.1 400 /);
  expect(await post(port.port, SMALL, headers, Buffer.from(revoke(3)))).toMatch(/^HTTP\/1.1 200 /);
});

test("headers: too many, too long, and both lengths at once are refused; a sound request still passes", async () => {
  await using port = await openTestPort();
  const many = Object.fromEntries(Array.from({ length: 1500 }, (_, i) => [`x-${i}`, "y".repeat(20)]));
  expect(await post(port.port, SMALL, { authorization, ...many })).toMatch(/^HTTP\/1.1 431 /);
  expect(await post(port.port, SMALL, { authorization, "Transfer-Encoding": "chunked" })).toMatch(/^HTTP\/1.1 400 /);
  const session = http2.connect(port.url);
  const stream = session.request({
    ":path": SMALL,
    ":method": "POST",
    ...Object.fromEntries(Object.entries(many).slice(0, 200)),
  });
  await new Promise((resolve) => stream.once("error", resolve));
  session.destroy();
  expect(await post(port.port, SMALL, { authorization })).toMatch(/^HTTP\/1.1 200 /);
});

test.each([
  ["a path of its own for the query", `${SMALL}?x=1`],
  ["a slash at the end", `${SMALL}/`],
  ["two slashes", `/${SMALL}`],
  ["dots", `/.${SMALL}`],
  ["an escape", SMALL.replace("/Revoke", "%2FRevoke")],
  ["upper case", SMALL.toUpperCase()],
  ["a parameter", `${SMALL};x`],
  ["another method", SMALL.replace("Revoke", "Destroy")],
  ["another service", "/x.Y/Z"],
])("a path that nothing is served at answers everybody alike: %s", async (_, path) => {
  await using port = await openTestPort();
  const [nobody, admin] = await Promise.all([post(port.port, path, {}), post(port.port, path, { authorization })]);
  expect(nobody).toMatch(/^HTTP\/1.1 404 [\s\S]*"unimplemented"/);
  expect(withoutDate(admin)).toBe(withoutDate(nobody));
  const grpcAnswers = await Promise.all(
    [{}, { authorization }].map((more) =>
      request2(port.url, { "content-type": "application/grpc", ":path": path, ...more }),
    ),
  );
  expect(grpcAnswers.map((answer) => answer.headers["grpc-status"])).toEqual(["12", "12"]);
  expect(port.reached).toEqual([]);
});

test("no host, a host that is none, and other verbs end in a plain refusal", async () => {
  await using port = await openTestPort();
  const say = (text: string) => talk(port.port, (socket) => void socket.write(text));
  expect(await say(`POST ${SMALL} HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}`)).toMatch(
    /^HTTP\/1.1 400 /,
  );
  expect(await post(port.port, SMALL, { authorization, Host: "[" })).toMatch(/^HTTP\/1.1 400 /);
  expect((await fetch(`${port.url}${SMALL}`)).status).toBe(405);
  expect((await fetch(`${port.url}${SMALL}`, { method: "DELETE" })).status).toBe(405);
  const plain = await fetch(`${port.url}${SMALL}`, {
    method: "POST",
    headers: { authorization, "content-type": "text/plain" },
    body: "{}",
  });
  expect(plain.status).toBe(415);
  const preflight = await fetch(`${port.url}${SMALL}`, {
    method: "OPTIONS",
    headers: { origin: "https://evil.example" },
  });
  expect(preflight.headers.get("access-control-allow-origin")).toBeNull();
});

async function writeByteByByte(stream: http2.ClientHttp2Stream, message: Buffer): Promise<void> {
  for (const byte of message) stream.write(Buffer.from([byte]));
  stream.end();
}

function withoutDate(answer: string): string {
  return answer.replace(/^date: .*$/im, "");
}

test.each([
  ["declared", `{"id":"${"x".repeat(64 * KIB)}"}`, {}],
  ["inflated", gzipSync(`{"id":"${"x".repeat(64 * KIB)}"}`), { "content-encoding": "gzip" }],
])("Connect: the refusal names its reason and the limit: %s", async (_, body, encoding) => {
  await using port = await openTestPort();
  const headers = { authorization, "content-type": "application/json", ...encoding };
  const answer = await fetch(`${port.url}${SMALL}`, { method: "POST", headers, body });
  const { code, message, details } = (await answer.json()) as { code: string; message: string; details: object[] };
  expect({ code, message }).toEqual({ code: "resource_exhausted", message: "a message is larger than 65536 bytes" });
  expect(details).toMatchObject([
    { type: "google.rpc.ErrorInfo", debug: { reason: "MESSAGE_TOO_LARGE", metadata: { max_bytes: "65536" } } },
  ]);
});

test.each([
  ["gRPC", createGrpcTransport],
  ["gRPC-Web", createGrpcWebTransport],
  ["Connect", createConnectTransport],
])("%s: the refusal has the same details", async (_, open) => {
  await using port = await openTestPort();
  const client = createClient(IdentityService, open({ baseUrl: port.url, httpVersion: "2" }));
  const refused = await client
    .revokeToken({ id: "x".repeat(65 * KIB) }, { headers: { authorization } })
    .catch((e) => e);
  const details = ConnectError.from(refused).findDetails(ErrorInfoSchema);
  expect(details).toMatchObject([{ reason: "MESSAGE_TOO_LARGE", domain: "ritmo", metadata: { max_bytes: "65536" } }]);
});
