import http2 from "node:http2";
import net from "node:net";

/** Everything a server says on one connection until it closes it. */
export function talk(port: number, begin: (socket: net.Socket) => void): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, "127.0.0.1", () => begin(socket));
    let said = "";
    socket.on("data", (bytes) => {
      said += bytes.toString("latin1");
    });
    socket.once("error", (reason) => (said ? resolve(said) : reject(reason)));
    socket.once("close", () => resolve(said));
  });
}

/** One POST over a connection of its own; a header may have several values. */
export function post(
  port: number,
  path: string,
  headers: Record<string, string | string[]>,
  body: string | Buffer = "{}",
): Promise<string> {
  const all = {
    Host: "x",
    "Content-Type": "application/json",
    "Content-Length": `${Buffer.byteLength(body)}`,
    ...headers,
  };
  const lines = Object.entries(all).flatMap(([name, value]) => [value].flat().map((one) => `${name}: ${one}\r\n`));
  const head = `POST ${path} HTTP/1.1\r\nConnection: close\r\n${lines.join("")}\r\n`;
  return talk(port, (socket) => {
    socket.write(Buffer.from(head, "latin1"));
    socket.write(body);
  });
}

export interface Http2Answer {
  headers: http2.IncomingHttpHeaders;
  trailers: http2.IncomingHttpHeaders;
  body: Buffer;
}

/** One request over HTTP/2 on a connection of its own; `send` writes its body. */
export function request2(
  url: string,
  headers: http2.OutgoingHttpHeaders,
  send: (stream: http2.ClientHttp2Stream) => void = (stream) => stream.end(),
): Promise<Http2Answer> {
  const session = http2.connect(url, { rejectUnauthorized: false });
  return new Promise<Http2Answer>((resolve, reject) => {
    session.once("error", reject);
    const stream = session.request({ ":method": "POST", ...headers });
    const answer: Http2Answer = { headers: {}, trailers: {}, body: Buffer.alloc(0) };
    stream.on("response", (given) => {
      answer.headers = given;
    });
    stream.on("trailers", (given) => {
      answer.trailers = given;
    });
    stream.on("data", (bytes: Buffer) => {
      answer.body = Buffer.concat([answer.body, bytes]);
    });
    stream.on("error", () => {});
    stream.once("close", () => resolve(answer));
    send(stream);
  }).finally(() => session.destroy());
}

/** A message in gRPC's envelope. */
export function envelope(data: Uint8Array, flags = 0): Buffer {
  const head = Buffer.from([flags, 0, 0, 0, 0]);
  head.writeUInt32BE(data.length, 1);
  return Buffer.concat([head, data]);
}
