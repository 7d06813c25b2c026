import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { WorkerService } from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import { CONTROL_PLANE_SETTINGS } from "../control-plane/config.ts";
import type { Core } from "../control-plane/core.ts";
import { openWorkerServer } from "../control-plane/edge/worker-server.ts";
import { workerLookup } from "../control-plane/identity/authenticate-worker.ts";
import { openMetrics } from "../control-plane/metrics.ts";
import { workerService } from "../control-plane/rpc/worker-service.ts";
import { openFileBlobs } from "../control-plane/store/file-blobs.ts";
import { openHints } from "../control-plane/store/hints.ts";
import { beatPulse } from "../control-plane/upkeep/beat-pulse.ts";
import { startDispatching } from "../control-plane/workers/dispatch.ts";
import { openRenewals } from "../control-plane/workers/renew-sessions.ts";
import { openLogger } from "../process/logger.ts";
import { readSettings } from "../process/read-settings.ts";
import type { FreshDatabase } from "./fresh-database.ts";

export interface WorkerPort extends AsyncDisposable {
  core: Core;
  address: string;
  stopping: AbortController;
}

/** A real worker port of one replica over the database. */
export async function openWorkerPort(fresh: FreshDatabase, leaseSeconds = 20): Promise<WorkerPort> {
  const logger = openLogger("test", "silent");
  const folder = mkdtempSync(join(tmpdir(), "ritmo-attend-"));
  const stopping = new AbortController();
  const { values } = readSettings(CONTROL_PLANE_SETTINGS, { RITMO_LEASE_SECONDS: String(leaseSeconds) });
  const core: Core = {
    config: values,
    url: "http://ritmo.test",
    db: fresh.db,
    hints: openHints(fresh.url, logger),
    blobs: openFileBlobs(folder),
    metrics: openMetrics({ processMetrics: false }),
    logger,
    stopping: stopping.signal,
  };
  // As every replica's upkeep does; without a beat the database would seem to have been away.
  await fresh.db.sql`UPDATE pulse SET at = clock_timestamp()`;
  const beating = setInterval(() => void beatPulse(core).catch(() => {}), 200);
  const dispatcher = startDispatching(core);
  const attendance = { core, dispatcher, renewals: openRenewals(core) };
  const server = await openWorkerServer({
    listen: { host: "127.0.0.1", port: 0 },
    lookup: workerLookup(fresh),
    logger,
    routes: (router) => void router.service(WorkerService, workerService(attendance)),
  });
  return {
    core,
    address: server.address,
    stopping,
    async [Symbol.asyncDispose]() {
      stopping.abort();
      clearInterval(beating);
      await server.stop(0);
      await dispatcher.done;
      await core.hints.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
