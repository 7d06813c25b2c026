import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A way to a server on which answers can be lost. */
export interface LossyProxy extends AsyncDisposable {
  port: number;
  /** How many connections have lost an answer. */
  lost: number;
  /**
   * Takes one connection that has just passed something on to the server, lets the server do it, throws the answer
   * away, and breaks the connection: what was asked is done, and nobody was told. Answers when one was found.
   */
  loseAnswer(): Promise<void>;
}

// For the server to be done with it: a statement on a local database takes a fraction of this.
const DOING_MS = 40;

/** Listens on a free port and passes everything on, both ways, unless told otherwise. */
export async function openLossyProxy(to: { host: string; port: number }): Promise<LossyProxy> {
  const sockets = new Set<Socket>();
  const waiting: (() => void)[] = [];
  const server = createServer((client) => {
    const upstream = connect(to);
    let deaf = false;
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on("error", () => {});
      socket.on("close", () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    client.on("data", (data) => {
      upstream.write(data);
      const lose = deaf ? undefined : waiting.shift();
      if (!lose) return;
      deaf = true;
      setTimeout(() => {
        proxy.lost++;
        client.resetAndDestroy();
        lose();
      }, DOING_MS);
    });
    upstream.on("data", (data) => void (deaf || client.write(data)));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const proxy: LossyProxy = {
    port: (server.address() as AddressInfo).port,
    lost: 0,
    loseAnswer: () => new Promise((resolve) => waiting.push(resolve)),
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return proxy;
}
