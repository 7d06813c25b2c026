import type { ControlPlaneAddress } from "../config.ts";
import { openWorkerClient, type Tls, type WorkerClient } from "./worker-client.ts";

/** The two connections to the control plane that is spoken to now: one for orders and reports, one for bytes. */
export interface Lines {
  control: WorkerClient;
  bytes: WorkerClient;
  /** Which of the addresses. */
  target: string;
}

export interface LineKeeper {
  /** What calls use; asked anew for every try, since it changes when the worker moves. */
  readonly now: Lines;
  /** New connections to the next address, or to the same one where there is only one. The old ones go on until `drop`. */
  next(): Lines;
  /** Makes lines the ones in use; the ones before finish their calls and close. */
  use(lines: Lines): void;
  close(): void;
}

/** Keeps the lines; dialling is lazy, so nothing is on the wire until something is said. */
export function openLines(addresses: ControlPlaneAddress[], token: string, tls: Tls): LineKeeper {
  let at = -1;
  const next = (): Lines => {
    at = (at + 1) % addresses.length;
    const address = addresses[at] as ControlPlaneAddress;
    return {
      control: openWorkerClient(address, token, tls),
      bytes: openWorkerClient(address, token, tls),
      target: address.target,
    };
  };
  let now = next();
  const close = (lines: Lines) => {
    lines.control.close();
    lines.bytes.close();
  };
  return {
    get now() {
      return now;
    },
    next,
    use(lines) {
      if (lines === now) return;
      close(now);
      now = lines;
    },
    close: () => close(now),
  };
}
