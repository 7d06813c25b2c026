import http2 from "node:http2";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { ErrorInfoSchema } from "@ritmo/contract/google/rpc/error_details_pb.js";
import { IdentityService } from "@ritmo/contract/ritmo/identity/v1/identity_pb.js";
import { JobService } from "@ritmo/contract/ritmo/job/v1/job_pb.js";
import { LogService } from "@ritmo/contract/ritmo/log/v1/log_pb.js";
import { expect, test, vi } from "vitest";
import { openTestPort, PUBLIC_SERVICES, scopeLookup, TOKENS } from "../../testing/edge-ports.ts";
import { post, talk } from "../../testing/raw-http.ts";
import { methodName } from "./method-scopes.ts";

const WHO = "/ritmo.identity.v1.IdentityService/WhoAmI";
const EXCHANGE = "ritmo.identity.v1.IdentityService/ExchangeSetupCode";

const transports = {
  "Connect over HTTP/1.1": (baseUrl: string) => createConnectTransport({ baseUrl, httpVersion: "1.1" }),
  "Connect over HTTP/2": (baseUrl: string) => createConnectTransport({ baseUrl, httpVersion: "2" }),
  "gRPC-Web over HTTP/1.1": (baseUrl: string) => createGrpcWebTransport({ baseUrl, httpVersion: "1.1" }),
  gRPC: (baseUrl: string) => createGrpcTransport({ baseUrl }),
};

test.each(Object.entries(transports))(
  "%s: a caller with a token is let in, one without is told why",
  async (_, open) => {
    await using port = await openTestPort();
    const client = createClient(IdentityService, open(port.url));
    const answer = await client.whoAmI({}, { headers: { authorization: `Bearer ${TOKENS.read}` } });
    expect(answer.organization).toBe("org_default");

    const refused = await client.whoAmI({}).catch(ConnectError.from);
    expect(refused).toMatchObject({ code: Code.Unauthenticated });
    expect((refused as ConnectError).findDetails(ErrorInfoSchema)[0]).toMatchObject({
      reason: "TOKEN_MISSING",
      domain: "ritmo",
    });

    const jobs = createClient(JobService, open(port.url));
    const weak = jobs.createJob({}, { headers: { authorization: `Bearer ${TOKENS.read}` } });
    await expect(weak).rejects.toMatchObject({ code: Code.PermissionDenied });
    expect(port.reached).toEqual(["WhoAmI"]);
  },
);

test("without a token every method is refused, but for the one that makes the first", async () => {
  await using port = await openTestPort();
  for (const method of PUBLIC_SERVICES.flatMap((service) => service.methods)) {
    const type = method.methodKind === "unary" ? "application/json" : "application/connect+json";
    const response = await fetch(`${port.url}/${methodName(method)}`, {
      method: "POST",
      headers: { "content-type": type },
      body: method.methodKind === "unary" ? "{}" : Buffer.from([0, 0, 0, 0, 2, 0x7b, 0x7d]),
    });
    const answer = await response.text();
    const code = methodName(method) === EXCHANGE ? "unimplemented" : "unauthenticated";
    expect(answer, methodName(method)).toContain(`"code":"${code}"`);
  }
  expect(port.reached).toEqual([]);
});

const bad: [string, Record<string, string | string[]>][] = [
  ["nothing after Bearer", { authorization: "Bearer" }],
  ["spaces", { authorization: "Bearer    " }],
  ["another scheme", { authorization: `Basic ${TOKENS.read}` }],
  ["a token nobody has", { authorization: `Bearer rt_${"x".repeat(43)}` }],
  ["a prefix of a token", { authorization: `Bearer ${TOKENS.read.slice(0, -1)}` }],
  ["a worker's token", { authorization: `Bearer rw_${"x".repeat(43)}` }],
  ["twelve kilobytes", { authorization: `Bearer ${"x".repeat(12 * 1024)}` }],
  ["two that differ", { authorization: [`Bearer ${TOKENS.read}`, `Bearer ${TOKENS.admin}`] }],
  ["no ASCII", { authorization: "Bearer \u00e9\u00e8" }],
];

test.each(bad)("refused: %s", async (_, headers) => {
  await using port = await openTestPort();
  expect(await post(port.port, WHO, headers)).toMatch(/^HTTP\/1.1 401 [\s\S]*"code":"unauthenticated"/);
  expect(port.reached).toEqual([]);
});

test.each([
  ["lower case", { authorization: `bearer ${TOKENS.read}` }],
  ["the same twice", { authorization: [`Bearer ${TOKENS.read}`, `Bearer ${TOKENS.read}`] }],
])("let in: %s", async (_, headers) => {
  await using port = await openTestPort();
  expect(await post(port.port, WHO, headers)).toMatch(/^HTTP\/1.1 200 /);
});

test("a header over the limit is cut off by the parser", async () => {
  await using port = await openTestPort();
  expect(await post(port.port, WHO, { authorization: `Bearer ${"x".repeat(64 * 1024)}` })).toMatch(/^HTTP\/1.1 431 /);
  expect(await post(port.port, WHO, { authorization: `Bearer ${TOKENS.read}` })).toMatch(/^HTTP\/1.1 200 /);
});

test("a body is not waited for: the refusal comes first, and the connection ends", async () => {
  await using port = await openTestPort();
  const head = `POST ${WHO} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1073741824\r\n\r\n`;
  const answer = await talk(port.port, (socket) => {
    socket.write(head);
  });
  expect(answer).toMatch(/^HTTP\/1.1 401 [\s\S]*connection: close/i);
});

test("a connection is used again after a refusal", async () => {
  await using port = await openTestPort();
  const request = `POST ${WHO} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n`;
  const answer = await talk(port.port, (socket) => {
    socket.write(`${request}\r\n{}${request}Connection: close\r\nAuthorization: Bearer ${TOKENS.read}\r\n\r\n{}`);
  });
  expect(answer).toMatch(/^HTTP\/1.1 401 [\s\S]*HTTP\/1.1 200 /);
});

test("who sends a body in chunks after the refusal still hears it, and one without an end is cut off", async () => {
  await using port = await openTestPort();
  const chunked = `POST ${WHO} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n`;
  const request = `POST ${WHO} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n`;
  const answer = await talk(port.port, (socket) => {
    socket.once("data", () => {
      socket.write("2\r\n{}\r\n0\r\n\r\n");
      socket.write(`${request}Connection: close\r\nAuthorization: Bearer ${TOKENS.read}\r\n\r\n{}`);
    });
    socket.write(chunked);
  });
  expect(answer).toMatch(/^HTTP\/1.1 401 [\s\S]*HTTP\/1.1 200 /);
  expect(await talk(port.port, (socket) => void socket.write(chunked))).toMatch(/^HTTP\/1.1 401 /);
});

test("a body without an end is not read on over HTTP/2", async () => {
  await using port = await openTestPort();
  const session = http2.connect(port.url);
  const stream = session.request({ ":method": "POST", ":path": WHO, "content-type": "application/grpc+proto" });
  stream.on("error", () => {});
  stream.write(Buffer.from([0, 0, 0, 0xff, 0xff]));
  const [headers] = await Promise.all([
    new Promise<http2.IncomingHttpHeaders>((resolve) => stream.once("response", resolve)),
    new Promise((resolve) => stream.once("close", resolve)),
    stream.resume(),
  ]);
  expect(headers[":status"]).toBe(200);
  expect(stream.rstCode).toBe(0);
  session.close();
});

test("who waits to be asked for the body is not asked before being let in", async () => {
  await using port = await openTestPort();
  const head = (token: string) =>
    `POST ${WHO} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nAuthorization: Bearer ${token}\r\n` +
    "Content-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n";
  expect(await talk(port.port, (socket) => void socket.write(head("nobody")))).toMatch(/^HTTP\/1.1 401 /);
  const asked = await talk(port.port, (socket) => {
    socket.once("data", () => socket.write("{}"));
    socket.write(head(TOKENS.read));
  });
  expect(asked).toMatch(/^HTTP\/1.1 100 Continue\r\n\r\nHTTP\/1.1 200 /);
});

test("an open stream ends when its token no longer counts, and goes on while it does", async () => {
  let revoked = false;
  await using port = await openTestPort({
    recheckMs: 30,
    lookup: async (token) => (revoked && token === TOKENS.write ? undefined : scopeLookup(token)),
  });
  const client = createClient(LogService, createGrpcTransport({ baseUrl: port.url }));
  const counts = { read: 0, write: 0 };
  const follow = async (scope: "read" | "write", signal?: AbortSignal) => {
    const options = { headers: { authorization: `Bearer ${TOKENS[scope]}` }, ...(signal ? { signal } : {}) };
    for await (const _ of client.followLog({}, options)) counts[scope]++;
  };
  const done = new AbortController();
  const kept = follow("read", done.signal).catch(() => {});
  const lost = follow("write").catch(ConnectError.from);
  await vi.waitFor(() => expect(Math.min(counts.read, counts.write)).toBeGreaterThan(2));
  revoked = true;
  expect(await lost).toMatchObject({ code: Code.Unauthenticated });
  const before = counts.read;
  await vi.waitFor(() => expect(counts.read).toBeGreaterThan(before));
  done.abort();
  await kept;
});

test("a lookup that fails is no refusal: unavailable, and an open stream goes on", async () => {
  let away = false;
  await using port = await openTestPort({
    recheckMs: 20,
    lookup: async (token) => {
      if (away) throw Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED", errno: -111 });
      return scopeLookup(token);
    },
  });
  const transport = createGrpcTransport({ baseUrl: port.url });
  const headers = { authorization: `Bearer ${TOKENS.read}` };
  const done = new AbortController();
  let count = 0;
  const followed = (async () => {
    for await (const _ of createClient(LogService, transport).followLog({}, { headers, signal: done.signal })) count++;
  })().catch(ConnectError.from);
  await vi.waitFor(() => expect(count).toBeGreaterThan(1));
  away = true;
  const refused = createClient(IdentityService, transport).whoAmI({}, { headers });
  await expect(refused).rejects.toMatchObject({ code: Code.Unavailable });
  const before = count;
  await vi.waitFor(() => expect(count).toBeGreaterThan(before + 3));
  done.abort();
  expect(await followed).toMatchObject({ code: Code.Canceled });
});
