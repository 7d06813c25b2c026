import { readFileSync, writeFileSync } from "node:fs";
import { rootCertificates } from "node:tls";
import type { UpConfig } from "./config.ts";
import { UpProblem } from "./up-problem.ts";

/**
 * Where the workers' port has TLS: writes and names a file of whom the worker of this machine may trust. That is the
 * port's own certificate, which may be self-signed, whoever signs the workers' own, and what everybody trusts.
 */
export function gatherTrust(config: Pick<UpConfig, "workerTlsCert" | "workerTlsCa">, path: string): string | undefined {
  if (config.workerTlsCert === undefined) return undefined;
  const own = [config.workerTlsCert, config.workerTlsCa].filter((file) => file !== undefined).map(read);
  writeFileSync(path, `${[...own, ...rootCertificates].join("\n")}\n`, { mode: 0o600 });
  return path;
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch (reason) {
    throw new UpProblem(`A certificate can't be read: ${(reason as Error).message}`);
  }
}
