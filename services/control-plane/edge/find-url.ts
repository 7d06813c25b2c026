import { createServer } from "node:net";
import type { ListenAddress } from "../../process/setting-kinds.ts";
import type { Config } from "../config.ts";

/** Where the public port will listen, with a real port in place of 0, and the address that links to it begin with. */
export async function findUrl(
  config: Pick<Config, "listen" | "url" | "tlsCert">,
): Promise<{ listen: ListenAddress; url: string }> {
  const { host } = config.listen;
  const port = config.listen.port === 0 ? await freePort(host) : config.listen.port;
  const shown = host === "::" || host === "0.0.0.0" ? "127.0.0.1" : host.includes(":") ? `[${host}]` : host;
  return { listen: { host, port }, url: config.url ?? `${config.tlsCert ? "https" : "http"}://${shown}:${port}` };
}

function freePort(host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen(0, host, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address ? address.port : 0));
    });
  });
}
