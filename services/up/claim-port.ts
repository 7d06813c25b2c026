import { createServer } from "node:net";
import { freePort } from "../process/free-port.ts";
import type { ListenAddress } from "../process/setting-kinds.ts";
import { portOwner } from "./port-owner.ts";
import { UpProblem } from "./up-problem.ts";

/**
 * Makes sure that an address can be listened on, and answers it with a free port in the place of port 0. Throws
 * UpProblem that names the setting and, where it can be told, the process in the way.
 */
export async function claimPort(setting: string, { host, port }: ListenAddress): Promise<ListenAddress> {
  try {
    if (port === 0) return { host, port: await freePort(host) };
    await listenOnce(host, port);
    return { host, port };
  } catch (reason) {
    throw problem(setting, { host, port }, reason as NodeJS.ErrnoException);
  }
}

function listenOnce(host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve()));
  });
}

function problem(setting: string, { host, port }: ListenAddress, { code }: NodeJS.ErrnoException): UpProblem {
  if (code === "EADDRINUSE") {
    const owner = portOwner(port);
    const by = owner ? ` by ${owner.name} (process ${owner.pid})` : "";
    return new UpProblem(
      `Port ${port} is taken${by}. Stop what uses it, or set ${setting} to another address (${host}:0 takes a free port).`,
    );
  }
  if (code === "EACCES") {
    return new UpProblem(`Port ${port} needs more rights than you have. Set ${setting} to a port of 1024 or above.`);
  }
  return new UpProblem(
    `${host}:${port} can't be listened on (${code}): this machine has no such address. Set ${setting} to one that it has.`,
  );
}
