import type { AddressInfo, Server } from "node:net";
import type { ListenAddress } from "../../process/setting-kinds.ts";

/** Listens, and answers the address that was taken. Rejects with one line that tells the way out. */
export function listen(server: Server, { host, port }: ListenAddress): Promise<{ address: string; port: number }> {
  return new Promise((resolve, reject) => {
    const onError = (reason: Error) => reject(listenFault(reason, host, port));
    server.once("error", onError);
    server.listen({ host, port }, () => {
      server.off("error", onError);
      const taken = (server.address() as AddressInfo).port;
      resolve({ address: showAddress(host, taken), port: taken });
    });
  });
}

export function showAddress(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Why an address can't be had, in one line. */
export function listenFault(reason: Error, host: string, port: number): Error {
  const address = showAddress(host, port);
  const code = "code" in reason ? reason.code : undefined;
  if (code === "EADDRINUSE")
    return new Error(`${address} is taken by another process; choose another port, or 0 for a free one`);
  if (code === "EACCES") return new Error(`${address} is not ours to take; choose a port above 1023`);
  if (code === "EADDRNOTAVAIL" || code === "ENOTFOUND") return new Error(`${host} is no address of this machine`);
  return new Error(`can't listen at ${address}: ${reason.message}`);
}
