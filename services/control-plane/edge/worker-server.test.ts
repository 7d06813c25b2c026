import { gzipSync } from "node:zlib";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, type HandlerContext, type ServiceImpl } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "@ritmo/contract/google/rpc/error_details_pb.js";
import { Health } from "@ritmo/contract/grpc/health/v1/health_pb.js";
import { ServerReflection } from "@ritmo/contract/grpc/reflection/v1/reflection_pb.js";
import { FetchInputResponseSchema, WorkerService } from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import { expect, test, vi } from "vitest";
import { openLogger } from "../../process/logger.ts";
import { leaseLost, Refusal } from "../../process/refusal.ts";
import { TOKENS } from "../../testing/edge-ports.ts";
import { envelope, request2 } from "../../testing/raw-http.ts";
import { workerCallerOf } from "./context.ts";
import { addStandardServices } from "./standard-services.ts";
import { openWorkerServer, type WorkerServerOptions } from "./worker-server.ts";

const TOKEN = `rw_${"w".repeat(43)}`;
const headers = { authorization: `Bearer ${TOKEN}` };

async function openPort(
  implementation: Partial<ServiceImpl<typeof WorkerService>>,
  options: Partial<WorkerServerOptions> = {},
) {
  const server = await openWorkerServer({
    listen: { host: "127.0.0.1", port: 0 },
    logger: openLogger("test", "silent"),
    lookup: async (token) => (token === TOKEN ? { orgId: "o", workerId: "wrk_1", name: "w1", pool: "p" } : undefined),
    routes(router) {
      router.service(WorkerService, implementation);
      addStandardServices(router, { isReady: () => true, reflection: true });
    },
    ...options,
  });
  const url = `http://${server.address}`;
  const client = createClient(WorkerService, createGrpcTransport({ baseUrl: url }));
  return { ...server, url, client, [Symbol.asyncDispose]: () => server.stop(200) };
}

test("all four kinds of methods reach the same handlers as on the public port", async () => {
  await using port = await openPort({
    sync: (_request, context) => ({ stops: [{ leaseId: workerCallerOf(context).workerId }] }),
    async sendArtifact(requests) {
      let received = 0;
      for await (const { message } of requests) if (message.case === "data") received += message.value.length;
      return { storedBytes: BigInt(received) };
    },
    async *fetchInput() {
      yield { data: Buffer.from("a") };
      yield { data: Buffer.from("b") };
    },
    async *attend(requests) {
      for await (const { message } of requests) if (message.case === "report") yield welcome();
    },
  } as Partial<ServiceImpl<typeof WorkerService>>);
  const { client } = port;
  expect((await client.sync({}, { headers })).stops[0]?.leaseId).toBe("wrk_1");
  const parts = [3, 4].map((size) => ({ message: { case: "data" as const, value: new Uint8Array(size) } }));
  expect((await client.sendArtifact(each(parts), { headers })).storedBytes).toBe(7n);
  const fetched = [];
  for await (const { data } of client.fetchInput({}, { headers })) fetched.push(Buffer.from(data).toString());
  expect(fetched).toEqual(["a", "b"]);
  let answers = 0;
  const reports = [{}, {}, {}].map(() => ({ message: { case: "report" as const, value: {} } }));
  for await (const _ of client.attend(each(reports), { headers })) answers++;
  expect(answers).toBe(3);
});

test.each([
  ["no token", {}, /needs a worker's token/],
  ["a user's token", { authorization: `Bearer ${TOKENS.admin}` }, /this is a user's token/],
  ["a token nobody has", { authorization: `Bearer rw_${"x".repeat(43)}` }, /not known/],
  ["no bearer", { authorization: `Basic ${TOKEN}` }, /not `Bearer`/],
])("refused: %s", async (_, given: Record<string, string>, says) => {
  const sync = vi.fn(() => ({}));
  await using port = await openPort({ sync });
  const refused = await port.client.sync({}, { headers: given }).catch(ConnectError.from);
  expect(refused).toMatchObject({ code: Code.Unauthenticated, rawMessage: expect.stringMatching(says) });
  expect(sync).not.toHaveBeenCalled();
  await port.client.sync({}, { headers });
  expect(sync).toHaveBeenCalled();
});

test("a refusal keeps its reason, its fields and its delay", async () => {
  const refusals = [
    leaseLost("lease-1"),
    new Refusal("invalid_argument", "FIELD_INVALID", "no", { violations: [{ field: "a.b", description: "odd" }] }),
    new Refusal("resource_exhausted", "SLOW_DOWN", "wait", { retryAfterMs: 1500 }),
  ];
  await using port = await openPort({
    sync() {
      throw refusals.shift();
    },
  });
  const ask = async () => ConnectError.from(await port.client.sync({}, { headers }).catch((reason: unknown) => reason));
  const lost = await ask();
  expect(lost.code).toBe(Code.FailedPrecondition);
  expect(lost.findDetails(ErrorInfoSchema)[0]).toMatchObject({
    reason: "LEASE_LOST",
    domain: "ritmo",
    metadata: { lease_id: "lease-1" },
  });
  expect((await ask()).findDetails(BadRequestSchema)[0]?.fieldViolations[0]).toMatchObject({
    field: "a.b",
    description: "odd",
  });
  const slow = (await ask()).findDetails(RetryInfoSchema)[0]?.retryDelay;
  expect([slow?.seconds, slow?.nanos]).toEqual([1n, 500_000_000]);
});

test("a handler that throws at once is an internal error with a request's id, and its cause stays here", async () => {
  await using port = await openPort({
    sync() {
      throw new Error("SELECT secret");
    },
    attend() {
      throw new Error("SELECT secret");
    },
  });
  const unary = await port.client.sync({}, { headers }).catch(ConnectError.from);
  expect(unary).toMatchObject({
    code: Code.Internal,
    rawMessage: expect.stringMatching(/^internal error, request [0-9a-f-]{36}$/),
  });
  const streamed = (async () => {
    for await (const _ of port.client.attend(each([]), { headers }));
  })();
  await expect(streamed).rejects.toMatchObject({
    code: Code.Internal,
    rawMessage: expect.not.stringContaining("SELECT"),
  });
});

test("a worker that vanishes aborts its call, and does not look like a clean end", async () => {
  let context: HandlerContext | undefined;
  const ended = vi.fn();
  await using port = await openPort({
    async *attend(requests, given) {
      context = given;
      yield welcome();
      try {
        for await (const _ of requests);
        ended("cleanly");
      } catch {
        ended("by an error");
      }
    },
  } as Partial<ServiceImpl<typeof WorkerService>>);
  const leave = new AbortController();
  const stream = port.client.attend(until(leave.signal), { headers, signal: leave.signal });
  const reading = (async () => {
    for await (const _ of stream) leave.abort();
  })().catch(() => {});
  await reading;
  await vi.waitFor(() => expect(ended).toHaveBeenCalled());
  expect(ended).toHaveBeenCalledWith("by an error");
  expect(context?.signal.aborted).toBe(true);
});

test("a slow reader holds the handler back", async () => {
  let made = 0;
  await using port = await openPort({
    async *fetchInput() {
      for (; made < 1_000; made++) yield create(FetchInputResponseSchema, { data: new Uint8Array(64 * 1024) });
    },
  });
  const input = port.client.fetchInput({}, { headers })[Symbol.asyncIterator]();
  await input.next();
  let before = -1;
  await vi.waitFor(
    () => {
      const now = made;
      const stood = now === before;
      before = now;
      expect(stood).toBe(true);
    },
    { interval: 100 },
  );
  expect(made).toBeLessThan(500);
  let read = 1;
  while (!(await input.next()).done) read++;
  expect(read).toBe(1_000);
});

const raw = {
  ...headers,
  "content-type": "application/grpc",
  te: "trailers",
  ":path": "/ritmo.worker.v1.WorkerService/Sync",
};

test.each([
  ["a message that can't be read", envelope(Buffer.from([0xff])), "3"],
  ["over the limit", envelope(Buffer.alloc(1200 * 1024)), "8"],
  ["a declared length of four gigabytes", Buffer.from([0, 0xff, 0xff, 0xff, 0xff, 1]), "8"],
  ["one said to be compressed, in no encoding", envelope(gzipSync(Buffer.alloc(9)), 1), "3"],
  ["half a message", envelope(Buffer.alloc(9)).subarray(0, 8), "12"],
  ["half a head", Buffer.from([0, 0]), "12"],
  ["no message at all", Buffer.alloc(0), "12"],
  ["an empty message", envelope(Buffer.alloc(0)), "0"],
])("what may come: %s", async (_, body, status) => {
  await using port = await openPort({ sync: () => ({}) });
  const answer = await request2(port.url, raw, (stream) => stream.end(body));
  expect(answer.trailers["grpc-status"] ?? answer.headers["grpc-status"]).toBe(status);
});

test.each([
  ["gzip", envelope(Buffer.from("no gzip"), 1)],
  ["gzip", envelope(gzipSync(Buffer.alloc(32 * 1024 * 1024)), 1)],
  ["gzip", envelope(Buffer.alloc(0))],
  ["x-nested", envelope(Buffer.alloc(0))],
])("an encoding of messages is refused, whatever they are: %s", async (encoding, body) => {
  const sync = vi.fn(() => ({}));
  await using port = await openPort({ sync });
  const send = async (given: string) =>
    (await request2(port.url, { ...raw, "grpc-encoding": given }, (stream) => stream.end(body))).headers;
  expect(await send(encoding)).toMatchObject({ "grpc-status": "12", "grpc-accept-encoding": "identity" });
  expect(sync).not.toHaveBeenCalled();
  if (body.length === 5) expect((await send("identity"))["grpc-status"]).toBeUndefined();
});

test("unknown methods are unimplemented, health and reflection need no token", async () => {
  await using port = await openPort({});
  await expect(port.client.sync({}, { headers })).rejects.toMatchObject({ code: Code.Unimplemented });
  const transport = createGrpcTransport({ baseUrl: port.url });
  expect((await createClient(Health, transport).check({})).status).toBe(1);
  const listed = [];
  const asked = each([{ messageRequest: { case: "listServices" as const, value: "" } }]);
  for await (const { messageResponse } of createClient(ServerReflection, transport).serverReflectionInfo(asked))
    listed.push(messageResponse);
  expect(JSON.stringify(listed)).toContain("ritmo.worker.v1.WorkerService");
  const unknown = await request2(port.url, { ...raw, ":path": "/x.Y/Z" });
  expect(unknown.trailers["grpc-status"] ?? unknown.headers["grpc-status"]).toBe("12");
});

test("a stop tells streams to move and lets calls in flight end", async () => {
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const reached = vi.fn();
  const port = await openPort({
    async sync() {
      reached();
      await held;
      return {};
    },
    async *attend(_requests, { signal }) {
      yield welcome();
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
    },
  } as Partial<ServiceImpl<typeof WorkerService>>);
  const leave = new AbortController();
  const stream = port.client.attend(until(leave.signal), { headers })[Symbol.asyncIterator]();
  await stream.next();
  const inFlight = port.client.sync({}, { headers });
  await vi.waitFor(() => expect(reached).toHaveBeenCalled());
  const stopped = port.stop(60_000);
  await expect(stream.next()).rejects.toMatchObject({ code: Code.Unavailable });
  release();
  leave.abort();
  await inFlight;
  await stopped;
});

test("a stream whose worker was deleted ends", async () => {
  let deleted = false;
  await using port = await openPort(
    {
      async *attend(_requests, { signal }) {
        yield welcome();
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
      },
    } as Partial<ServiceImpl<typeof WorkerService>>,
    {
      recheckMs: 20,
      lookup: async () => (deleted ? undefined : { orgId: "o", workerId: "w", name: "w", pool: "p" }),
    },
  );
  const leave = new AbortController();
  const stream = port.client.attend(until(leave.signal), { headers })[Symbol.asyncIterator]();
  await stream.next();
  deleted = true;
  await expect(stream.next()).rejects.toMatchObject({ code: Code.Unauthenticated });
  leave.abort();
});

function welcome() {
  return { message: { case: "welcome" as const, value: { sessionId: "ses_1" } } };
}

async function* each<T>(values: T[]): AsyncGenerator<T> {
  yield* values;
}

async function* until(signal: AbortSignal): AsyncGenerator<never> {
  await new Promise((resolve) => signal.addEventListener("abort", resolve));
}
