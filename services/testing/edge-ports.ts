import { ArtifactService } from "@ritmo/contract/ritmo/artifact/v1/artifact_pb.js";
import { BuildService } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import { EventService } from "@ritmo/contract/ritmo/event/v1/event_pb.js";
import { FleetService } from "@ritmo/contract/ritmo/fleet/v1/fleet_pb.js";
import { IdentityService } from "@ritmo/contract/ritmo/identity/v1/identity_pb.js";
import { JobService } from "@ritmo/contract/ritmo/job/v1/job_pb.js";
import { LogService } from "@ritmo/contract/ritmo/log/v1/log_pb.js";
import { PipelineService } from "@ritmo/contract/ritmo/pipeline/v1/pipeline_pb.js";
import { callerOf } from "../control-plane/edge/context.ts";
import type { Routes } from "../control-plane/edge/serve-connect.ts";
import { addStandardServices } from "../control-plane/edge/standard-services.ts";
import { type OpenServer, openWebServer, type WebServerOptions } from "../control-plane/edge/web-server.ts";
import type { Caller, Scope } from "../control-plane/identity/caller.ts";
import { openLogger } from "../process/logger.ts";
import { sleep } from "../process/wait.ts";

/** Every service that the public port is meant to serve. */
export const PUBLIC_SERVICES = [
  ArtifactService,
  BuildService,
  EventService,
  FleetService,
  IdentityService,
  JobService,
  LogService,
  PipelineService,
] as const;

const OTHERS = [ArtifactService, BuildService, EventService, FleetService, PipelineService] as const;

/** Tokens that `scopeLookup` knows. */
export const TOKENS: Record<Scope, string> = {
  read: `rt_${"r".repeat(43)}`,
  write: `rt_${"w".repeat(43)}`,
  admin: `rt_${"a".repeat(43)}`,
};

/** A lookup without a database: one token a scope. */
export async function scopeLookup(token: string): Promise<Caller | undefined> {
  const scope = (Object.keys(TOKENS) as Scope[]).find((name) => TOKENS[name] === token);
  return scope && { orgId: "org_default", tokenId: `tok_${scope}`, name: scope, scope };
}

export interface TestPort extends AsyncDisposable, OpenServer {
  /** `http://127.0.0.1:…` */
  url: string;
  /** What handlers were reached, by method. */
  reached: string[];
}

/**
 * A public port on which WhoAmI names the caller, RevokeToken and CreateJob tell how long a text is, and FollowLog goes
 * on until it is ended; every other method is unimplemented.
 */
export async function openTestPort(options: Partial<WebServerOptions> = {}): Promise<TestPort> {
  const reached: string[] = [];
  const server = await openWebServer({
    listen: { host: "127.0.0.1", port: 0 },
    lookup: scopeLookup,
    logger: openLogger("test", "silent"),
    routes: echoRoutes(reached),
    ...options,
  });
  const scheme = options.tls ? "https" : "http";
  return {
    ...server,
    url: `${scheme}://${server.address}`,
    reached,
    [Symbol.asyncDispose]: () => server.stop(200),
  };
}

function echoRoutes(reached: string[]): Routes {
  return (router) => {
    for (const service of OTHERS) router.service(service, {});
    router.service(IdentityService, {
      whoAmI(_request, context) {
        reached.push("WhoAmI");
        return { organization: callerOf(context).orgId };
      },
      revokeToken(request) {
        reached.push("RevokeToken");
        return { token: { name: `${request.id.length}` } };
      },
    });
    router.service(JobService, {
      createJob({ job }) {
        reached.push("CreateJob");
        return { job: { description: `${job?.description.length}` } };
      },
    });
    router.service(LogService, {
      async *followLog(_request, { signal }) {
        reached.push("FollowLog");
        for (;;) {
          yield {};
          await sleep(20, signal);
        }
      },
    });
    addStandardServices(router, { isReady: () => true, reflection: true });
  };
}
