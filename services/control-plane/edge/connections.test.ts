import http2 from "node:http2";
import net from "node:net";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { ArtifactService } from "@ritmo/contract/ritmo/artifact/v1/artifact_pb.js";
import { IdentityService } from "@ritmo/contract/ritmo/identity/v1/identity_pb.js";
import { LogService } from "@ritmo/contract/ritmo/log/v1/log_pb.js";
import { expect, test, vi } from "vitest";
import { openTestPort, TOKENS } from "../../testing/edge-ports.ts";
import { envelope, post, talk } from "../../testing/raw-http.ts";

const WHO = "/ritmo.identity.v1.IdentityService/WhoAmI";
const authorization = `Bearer ${TOKENS.read}`;
const headers = { authorization };
const head = `POST ${WHO} HTTP/1.1\r\nHost: x\r\nAuthorization: ${authorization}\r\nContent-Type: application/json\r\n`;

test("the first bytes may come one by one, for either protocol", async () => {
  await using port = await openTestPort();
  const answer = await talk(
    port.port,
    (socket) => void oneByOne(socket, `${head}Connection: close\r\nContent-Length: 2\r\n\r\n{}`),
  );
  expect(answer).toMatch(/^HTTP\/1.1 200 /);
  const greeting = await new Promise<Buffer>((resolve) => {
    const socket = net.connect(port.port, "127.0.0.1", () => {
      void oneByOne(socket, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u0004\0\0\0\0\0");
    });
    socket.once("data", (bytes: Buffer) => {
      socket.destroy();
      resolve(bytes);
    });
  });
  // A SETTINGS frame.
  expect(greeting[3]).toBe(4);
});

test.each([
  ["nothing", ""],
  ["two bytes", "PR"],
  ["headers without an end", `${head}X-Slow: `],
  ["a body without an end", `${head}Content-Length: 100\r\n\r\n{`],
  ["a preface and no more", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
])("who connects and sends %s is let go, and others are served meanwhile", async (_, bytes) => {
  const limits = { firstBytesMs: 100, headersMs: 100, requestMs: 200, firstStreamMs: 100 };
  await using port = await openTestPort({ limits });
  const slow = talk(port.port, (socket) => void (bytes && socket.write(bytes)));
  expect(await post(port.port, WHO, { authorization })).toMatch(/^HTTP\/1.1 200 /);
  await slow;
});

test("an HTTP/2 body that drips is cut off, and its stream with it", async () => {
  await using port = await openTestPort({ limits: { headersMs: 100, requestMs: 150 } });
  const session = http2.connect(port.url);
  const stream = session.request({
    ":method": "POST",
    ":path": WHO,
    ...headers,
    "content-type": "application/grpc+proto",
  });
  stream.on("error", () => {});
  stream.resume();
  stream.write(Buffer.from([0, 0, 0, 0, 100]));
  const drip = setInterval(() => stream.write(Buffer.from([1])), 20);
  const trailers = new Promise<http2.IncomingHttpHeaders>((resolve) => stream.once("trailers", resolve));
  await new Promise((resolve) => stream.once("close", resolve));
  clearInterval(drip);
  expect((await trailers)["grpc-status"]).toBe(`${Code.DeadlineExceeded}`);
  session.destroy();
});

test("an HTTP/2 connection that answers no ping is let go, one that does is kept", async () => {
  await using port = await openTestPort({ limits: { pingMs: 40 } });
  // A preface and SETTINGS, and then somebody who vanished.
  const mute = talk(
    port.port,
    (socket) => void socket.write(Buffer.concat([Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), SETTINGS])),
  );
  const session = http2.connect(port.url);
  let pings = 0;
  session.on("ping", () => pings++);
  await mute;
  await vi.waitFor(() => expect(pings).toBeGreaterThan(3));
  expect(session.destroyed).toBe(false);
  session.destroy();
});

test("more streams than a connection may have are refused, the others are served", async () => {
  await using port = await openTestPort({ limits: { streamsPerConnection: 3 } });
  const session = http2.connect(port.url, { peerMaxConcurrentStreams: 10 });
  await new Promise((resolve) => session.once("remoteSettings", resolve));
  expect(session.remoteSettings.maxConcurrentStreams).toBe(3);
  session.destroy();
});

test("frames that flood end their connection, not the server", async () => {
  await using port = await openTestPort();
  const preface = Buffer.concat([Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), SETTINGS]);
  const headersFrame = frame(1, 0x4, 1, Buffer.from([0x82, 0x84, 0x86]));
  const floods = {
    settings: Buffer.concat(Array.from({ length: 20_000 }, () => SETTINGS)),
    continuation: Buffer.concat([
      frame(1, 0, 1, Buffer.from([0x82])),
      ...Array.from({ length: 5_000 }, () => frame(9, 0, 1, Buffer.alloc(16, 0x40))),
    ]),
    "reset streams": Buffer.concat(
      Array.from({ length: 10_000 }, (_, i) => {
        const id = 2 * i + 1;
        return Buffer.concat([frame(1, 0x4, id, headersFrame.subarray(9)), frame(3, 0, id, Buffer.from([0, 0, 0, 8]))]);
      }),
    ),
    "a window that overflows": frame(8, 0, 0, Buffer.from([0x7f, 0xff, 0xff, 0xff])),
  };
  for (const [name, flood] of Object.entries(floods)) {
    const said = talk(port.port, (socket) => void socket.write(Buffer.concat([preface, flood])));
    expect(await said, name).toBeDefined();
  }
  expect(await post(port.port, WHO, { authorization })).toMatch(/^HTTP\/1.1 200 /);
});

test("a reader that takes nothing is let go, and its handler with it; one that reads is served", async () => {
  let made = 0;
  let ended = false;
  const piece = new Uint8Array(64 * 1024);
  await using port = await openTestPort({
    limits: { stalledMs: 100 },
    routes(router) {
      router.service(ArtifactService, {
        async *downloadArtifact() {
          try {
            for (; made < 10_000; made++) yield { data: piece };
          } finally {
            ended = true;
          }
        },
      });
    },
  });
  const session = http2.connect(port.url);
  const path = "/ritmo.artifact.v1.ArtifactService/DownloadArtifact";
  const stream = session.request({ ":method": "POST", ":path": path, ...headers, "content-type": "application/grpc" });
  stream.on("error", () => {});
  stream.end(envelope(new Uint8Array(0)));
  await vi.waitFor(() => expect(ended).toBe(true));
  expect(made).toBeLessThan(100);
  session.destroy();

  made = 9_900;
  let read = 0;
  const client = createClient(ArtifactService, createGrpcTransport({ baseUrl: port.url }));
  for await (const _ of client.downloadArtifact({}, { headers })) read++;
  expect(read).toBe(100);
});

test("a stop ends streams with a word, lets calls in flight end, and takes no more", async () => {
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const port = await openTestPort({
    interceptors: [
      (next) => async (request) => {
        if (request.method.name === "WhoAmI") await held;
        return next(request);
      },
    ],
  });
  const transport = createGrpcTransport({ baseUrl: port.url });
  let count = 0;
  const followed = (async () => {
    for await (const _ of createClient(LogService, transport).followLog({}, { headers })) count++;
  })().catch(ConnectError.from);
  const h1 = createConnectTransport({ baseUrl: port.url, httpVersion: "1.1" });
  const inFlight = createClient(IdentityService, h1).whoAmI({}, { headers });
  const alsoInFlight = createClient(IdentityService, transport).whoAmI({}, { headers });
  await vi.waitFor(() => expect(count).toBeGreaterThan(0));
  // Far longer than the test may take: it ends because all is over.
  const stopped = port.stop(60_000);
  expect(await followed).toMatchObject({ code: Code.Unavailable, rawMessage: "the server is stopping; connect again" });
  release();
  expect((await inFlight).organization).toBe("org_default");
  expect((await alsoInFlight).organization).toBe("org_default");
  await stopped;
  await expect(fetch(port.url)).rejects.toThrow();
});

test("a stop does not wait for who never ends", async () => {
  const port = await openTestPort();
  const silent = talk(port.port, (socket) => void socket.write(head)).catch(() => "");
  expect(await post(port.port, WHO, { authorization })).toMatch(/^HTTP\/1.1 200 /);
  await port.stop(50);
  await silent;
});

test("a handler that listens to nobody is answered for at its caller's deadline", async () => {
  await using port = await openTestPort({
    interceptors: [(next) => (request) => (request.method.name === "WhoAmI" ? new Promise(() => {}) : next(request))],
  });
  for (const transport of [
    createGrpcTransport({ baseUrl: port.url }),
    createConnectTransport({ baseUrl: port.url, httpVersion: "1.1" }),
  ]) {
    const late = createClient(IdentityService, transport).whoAmI({}, { headers, timeoutMs: 50 });
    await expect(late).rejects.toMatchObject({ code: Code.DeadlineExceeded });
  }
});

test("a taken address is one line with the way out", async () => {
  await using port = await openTestPort();
  const again = openTestPort({ listen: { host: "127.0.0.1", port: port.port } });
  await expect(again).rejects.toThrow(/^127\.0\.0\.1:\d+ is taken by another process; choose another port, or 0/);
});

const SETTINGS = frame(4, 0, 0, Buffer.alloc(0));

function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

async function oneByOne(socket: net.Socket, text: string): Promise<void> {
  socket.setNoDelay(true);
  for (const byte of Buffer.from(text, "latin1")) {
    socket.write(Buffer.from([byte]));
    await new Promise((resolve) => setImmediate(resolve));
  }
}
