import type { ConnectRouter } from "@connectrpc/connect";
import { ArtifactService } from "@ritmo/contract/ritmo/artifact/v1/artifact_pb.js";
import { BuildService } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import { EventService } from "@ritmo/contract/ritmo/event/v1/event_pb.js";
import { FleetService } from "@ritmo/contract/ritmo/fleet/v1/fleet_pb.js";
import { IdentityService } from "@ritmo/contract/ritmo/identity/v1/identity_pb.js";
import { JobService } from "@ritmo/contract/ritmo/job/v1/job_pb.js";
import { LogService } from "@ritmo/contract/ritmo/log/v1/log_pb.js";
import { PipelineService } from "@ritmo/contract/ritmo/pipeline/v1/pipeline_pb.js";
import { WorkerService } from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import type { Logger } from "../process/logger.ts";
import { openMetricsServer } from "../process/metrics-server.ts";
import { sleep } from "../process/wait.ts";
import { downloadHandler } from "./artifacts/download-handler.ts";
import type { Config } from "./config.ts";
import type { Core } from "./core.ts";
import { countCalls, countRefused } from "./edge/count-calls.ts";
import { findUrl } from "./edge/find-url.ts";
import { addStandardServices } from "./edge/standard-services.ts";
import { openWebServer } from "./edge/web-server.ts";
import { openWorkerServer } from "./edge/worker-server.ts";
import { refreshGauges } from "./fleet/refresh-gauges.ts";
import { userLookup } from "./identity/authenticate-user.ts";
import { workerLookup } from "./identity/authenticate-worker.ts";
import { openMetrics } from "./metrics.ts";
import { watchReadiness } from "./readiness.ts";
import { artifactService } from "./rpc/artifact-service.ts";
import { buildService } from "./rpc/build-service.ts";
import { eventService } from "./rpc/event-service.ts";
import { fleetService } from "./rpc/fleet-service.ts";
import { identityService } from "./rpc/identity-service.ts";
import { jobService } from "./rpc/job-service.ts";
import { logService } from "./rpc/log-service.ts";
import { pipelineService } from "./rpc/pipeline-service.ts";
import { workerService } from "./rpc/worker-service.ts";
import { openHints } from "./store/hints.ts";
import { migrate } from "./store/migrate.ts";
import { openBlobs } from "./store/open-blobs.ts";
import { openDatabase } from "./store/open-database.ts";
import { keepUp } from "./upkeep/keep-up.ts";
import { settleRestore } from "./upkeep/notice-restore.ts";
import { startDispatching } from "./workers/dispatch.ts";
import { openRenewals } from "./workers/renew-sessions.ts";

export interface App {
  url: string;
  workerAddress: string;
  metricsAddress: string;
  core: Core;
  /** Readiness off, streams told to move, calls in flight ended, nothing cancelled. */
  stop(): Promise<void>;
}

const LEAVE_WITHIN_MS = 6_000;

/** Opens one replica of the control plane: everything in its order, which is also the order of what needs what. */
export async function openApp(config: Config & { databaseUrl: string }, logger: Logger): Promise<App> {
  const stopping = new AbortController();
  const blobs = openBlobs(config);
  const db = openDatabase({ url: config.databaseUrl });
  const hints = openHints(config.databaseUrl, logger);
  try {
    await migrate(db, logger);
    await blobs.check();
    const metrics = openMetrics();
    const { listen, url } = await findUrl(config);
    const core: Core = { config, url, db, hints, blobs, metrics, logger, stopping: stopping.signal };
    await settleRestore(core);
    const readiness = watchReadiness(core);
    const standard = { isReady: readiness.isReady, reflection: config.reflection };
    const calls = { logger, interceptors: [countCalls(metrics)], onRefused: countRefused(metrics) };

    const dispatcher = startDispatching(core);
    const renewals = openRenewals(core);
    const web = await openWebServer({
      ...calls,
      listen,
      lookup: userLookup({ db, logger }),
      tls: { certPath: config.tlsCert, keyPath: config.tlsKey },
      routes: (router) => addStandardServices(publicServices(router, core), standard),
      handlers: [downloadHandler(core)],
    });
    const workers = await openWorkerServer({
      ...calls,
      listen: config.workerListen,
      lookup: workerLookup({ db }),
      tls: { certPath: config.workerTlsCert, keyPath: config.workerTlsKey, caPath: config.workerTlsCa },
      routes(router) {
        router.service(WorkerService, workerService({ core, dispatcher, renewals }));
        addStandardServices(router, standard);
      },
    });
    const numbers = await openMetricsServer({
      listen: config.metricsListen,
      readiness: readiness.parts,
      async metrics() {
        await refreshGauges(db, metrics);
        return { text: await metrics.registry.metrics(), contentType: metrics.registry.contentType };
      },
    });
    const upkeep = keepUp(core);

    return {
      url,
      workerAddress: workers.address,
      metricsAddress: numbers.address,
      core,
      async stop() {
        stopping.abort();
        await Promise.race([dispatcher.roster.empty(), sleep(LEAVE_WITHIN_MS)]);
        await Promise.all([web.stop(), workers.stop(), upkeep, dispatcher.done]);
        await Promise.all([numbers.stop(), hints.close()]);
        await db.close();
      },
    };
  } catch (reason) {
    stopping.abort();
    await Promise.all([hints.close(), db.close()]);
    throw reason;
  }
}

function publicServices(router: ConnectRouter, core: Core): ConnectRouter {
  return router
    .service(JobService, jobService(core))
    .service(PipelineService, pipelineService())
    .service(BuildService, buildService(core))
    .service(LogService, logService(core))
    .service(ArtifactService, artifactService(core))
    .service(FleetService, fleetService(core))
    .service(EventService, eventService(core))
    .service(IdentityService, identityService(core));
}
