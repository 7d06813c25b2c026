import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import type { ListenAddress } from "../process/setting-kinds.ts";
import { claimPort } from "./claim-port.ts";
import type { UpConfig } from "./config.ts";
import { UpProblem } from "./up-problem.ts";

/** Where the parts listen, with every port known, and how they are reached from this machine. */
export interface Addresses {
  listen: string;
  workerListen: string;
  metricsListen: string;
  /** The public port for people: RITMO_URL where it is set. */
  url: string;
  /** The public port from this machine. */
  localUrl: string;
  /** The workers' port, as RITMO_CONTROL_PLANE wants it. */
  controlPlane: string;
  readyUrl: string;
}

/** Throws UpProblem for the first address that can't be listened on. */
export async function claimAddresses(config: UpConfig): Promise<Addresses> {
  // One after another, so that two of port 0 don't get the same one.
  const listen = await claimPort("RITMO_LISTEN", config.listen);
  const worker = await claimPort("RITMO_WORKER_LISTEN", config.workerListen);
  const metrics = await claimPort("RITMO_METRICS_LISTEN", config.metricsListen);
  const localUrl = `http${config.tlsCert ? "s" : ""}://${written(reached(listen))}`;
  return {
    listen: written(listen),
    workerListen: written(worker),
    metricsListen: written(metrics),
    url: config.url ?? localUrl,
    localUrl,
    controlPlane: config.workerTlsCert
      ? `https://${certifiedName(config.workerTlsCert, reached(worker).host)}:${worker.port}`
      : written(reached(worker)),
    readyUrl: `http://${written(reached(metrics))}/readyz`,
  };
}

function written({ host, port }: ListenAddress): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** An address that stands for all of them is reached over the loopback. */
function reached({ host, port }: ListenAddress): ListenAddress {
  if (host === "0.0.0.0") return { host: "127.0.0.1", port };
  return host === "::" ? { host: "::1", port } : { host, port };
}

/**
 * The name by which a certificate lets this machine be reached. grpc-js 1.14 can't connect with TLS to an address in
 * numbers (Node refuses one as the server's name), so localhost where the certificate has it, else its own first name.
 */
function certifiedName(path: string, host: string): string {
  try {
    const certificate = new X509Certificate(readFileSync(path));
    if (certificate.checkHost("localhost") !== undefined) return "localhost";
    return /DNS:([^,\s*]+)/.exec(certificate.subjectAltName ?? "")?.[1] ?? host;
  } catch (reason) {
    throw new UpProblem(
      `RITMO_WORKER_TLS_CERT: ${path} can't be read as a certificate (PEM): ${(reason as Error).message}`,
    );
  }
}
