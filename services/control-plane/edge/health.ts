import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import { type Health, HealthCheckResponse_ServingStatus as Status } from "@ritmo/contract/grpc/health/v1/health_pb.js";
import { sleep } from "../../process/wait.ts";

const LOOK_EVERY_MS = 1_000;

/**
 * The standard health service (https://github.com/grpc/grpc/blob/master/doc/health-checking.md). The empty name is
 * the whole server; of the services each is as ready as the server. `isReady` is asked anew for every answer.
 */
export function healthService(
  isReady: () => boolean | Promise<boolean>,
  services: string[],
): ServiceImpl<typeof Health> {
  const known = new Set(["", ...services]);
  const status = async () => ((await isReady()) ? Status.SERVING : Status.NOT_SERVING);
  return {
    async check({ service }) {
      if (!known.has(service)) throw new ConnectError("no such service", Code.NotFound);
      return { status: await status() };
    },
    async *watch({ service }, { signal }) {
      let told: Status | undefined;
      while (!signal.aborted) {
        const now = known.has(service) ? await status() : Status.SERVICE_UNKNOWN;
        if (now !== told) yield { status: now };
        told = now;
        await sleep(LOOK_EVERY_MS, signal);
      }
    },
  };
}
