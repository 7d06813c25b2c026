import { timestampMs } from "@bufbuild/protobuf/wkt";
import { createClient, type Transport } from "@connectrpc/connect";
import { FleetService } from "@ritmo/contract/ritmo/fleet/v1/fleet_pb.js";
import { sleep } from "../process/wait.ts";

const LOOK_EVERY_MS = 50;
const TIMEOUT_MS = 10_000;

/**
 * Resolves to true when a worker is heard of for the first time, or anew; to false when that takes too long. Call it
 * before the worker is started.
 */
export async function awaitWorker(name: string, transport: Transport, signal: AbortSignal): Promise<boolean> {
  const fleet = createClient(FleetService, transport);
  const lastSeen = async () => {
    const { worker } = await fleet.getWorker({ name });
    return worker?.lastSeenAt ? timestampMs(worker.lastSeenAt) : 0;
  };
  const before = await lastSeen();
  for (const end = Date.now() + TIMEOUT_MS; Date.now() < end && !signal.aborted; await sleep(LOOK_EVERY_MS, signal)) {
    if ((await lastSeen()) > before) return true;
  }
  return false;
}
