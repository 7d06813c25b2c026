import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DescService } from "@bufbuild/protobuf";
import { type Client, createClient, type Interceptor } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { type Build, BuildService, BuildState } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import { FleetService } from "@ritmo/contract/ritmo/fleet/v1/fleet_pb.js";
import { JobService } from "@ritmo/contract/ritmo/job/v1/job_pb.js";
import { bootstrap } from "../control-plane/bootstrap.ts";
import type { Db } from "../control-plane/store/open-database.ts";
import { sleep } from "../process/wait.ts";
import { type RunningProcess, runProcess } from "./run-process.ts";

export interface ControlPlane extends RunningProcess {
  url: string;
  workerAddress: string;
  metricsAddress: string;
}

/** Real processes on free ports over one database: what a deployment is, on one machine. */
export interface Ritmo extends AsyncDisposable {
  folder: string;
  token: string;
  controlPlanes: ControlPlane[];
  startControlPlane(env?: Record<string, string>): Promise<ControlPlane>;
  /** A worker process that knows every control plane of now. Its place is made unless it is there. */
  startWorker(name: string, env?: Record<string, string>): Promise<RunningProcess>;
  /** A client of the first control plane that is alive. */
  client<S extends DescService>(service: S): Client<S>;
  createJob(name: string, repository: string, pipelineText?: string): Promise<void>;
  /** Starts a build and answers its name, `job#number`. */
  run(job: string, branch?: string): Promise<string>;
  /** Waits until the build is over and answers it; calls that fail are repeated. */
  untilOver(build: string, withinMs?: number): Promise<Build>;
}

export interface StartOptions {
  databaseUrl: string;
  db: Db;
  controlPlanes?: number;
  leaseSeconds?: number;
  env?: Record<string, string>;
}

/** Starts the control planes; workers are started one by one. Everything is killed and removed at the end of `await using`. */
export async function startRitmo(options: StartOptions): Promise<Ritmo> {
  const folder = mkdtempSync(join(tmpdir(), "ritmo-story-"));
  const started: RunningProcess[] = [];
  const controlPlanes: ControlPlane[] = [];
  const workerTokens = new Map<string, string>();
  const { adminToken } = await bootstrap(options.db);
  const alive = () => controlPlanes.filter((one) => one.child.exitCode === null && one.child.signalCode === null);

  const ritmo: Ritmo = {
    folder,
    token: adminToken,
    controlPlanes,
    async startControlPlane(env = {}) {
      const running = runProcess("control-plane/main.ts", {
        RITMO_DATABASE_URL: options.databaseUrl,
        RITMO_BLOB_DIR: join(folder, "blobs"),
        RITMO_LISTEN: "127.0.0.1:0",
        RITMO_WORKER_LISTEN: "127.0.0.1:0",
        RITMO_METRICS_LISTEN: "127.0.0.1:0",
        RITMO_ALLOW_LOCAL_REPOSITORIES: "true",
        RITMO_LEASE_SECONDS: String(options.leaseSeconds ?? 20),
        ...options.env,
        ...env,
      });
      started.push(running);
      const { url, workers, metrics } = (await running.said("ready")) as Record<string, string>;
      const one = { ...running, url: url ?? "", workerAddress: workers ?? "", metricsAddress: metrics ?? "" };
      controlPlanes.push(one);
      return one;
    },
    async startWorker(name, env = {}) {
      if (!workerTokens.has(name)) {
        const made = await ritmo
          .client(FleetService)
          .createWorker({ requestId: randomUUID(), name, allowedLabelKeys: ["*"] });
        workerTokens.set(name, made.token);
      }
      const tokenFile = join(folder, `${name}.token`);
      writeFileSync(tokenFile, workerTokens.get(name) ?? "", { mode: 0o600 });
      const running = runProcess("worker/main.ts", {
        RITMO_CONTROL_PLANE: controlPlanes.map((one) => one.workerAddress).join(","),
        RITMO_WORKER_TOKEN_FILE: tokenFile,
        RITMO_WORK_DIR: join(folder, `work-${name}`),
        RITMO_ALLOW_LOCAL_REPOSITORIES: "true",
        ...env,
      });
      started.push(running);
      return running;
    },
    client(service) {
      const first = alive()[0];
      if (!first) throw new Error("no control plane is alive");
      return createClient(
        service,
        createConnectTransport({ baseUrl: first.url, httpVersion: "1.1", interceptors: [bearer(adminToken)] }),
      );
    },
    async createJob(name, repository, pipelineText) {
      const pipeline =
        pipelineText === undefined
          ? { case: "pipelinePath" as const, value: ".ritmo.yaml" }
          : { case: "pipelineText" as const, value: pipelineText };
      await ritmo.client(JobService).createJob({ requestId: randomUUID(), job: { name, repository, pipeline } });
    },
    async run(job, branch) {
      const source = branch === undefined ? {} : { source: { case: "branch" as const, value: branch } };
      const { build } = await ritmo.client(BuildService).createBuild({ requestId: randomUUID(), job, ...source });
      return build?.name ?? "";
    },
    async untilOver(build, withinMs = 60_000) {
      let last: Build | undefined;
      for (const end = Date.now() + withinMs; Date.now() < end; await sleep(100)) {
        try {
          last = (await ritmo.client(BuildService).getBuild({ name: build })).build;
          if (last && last.state >= BuildState.SUCCESS) return last;
        } catch {
          // A control plane or the database is away: that is what some of these tests are about.
        }
      }
      throw new Error(
        `${build} was not over after ${withinMs} ms: ${JSON.stringify(last, (_, v) => (typeof v === "bigint" ? String(v) : v))}`,
      );
    },
    async [Symbol.asyncDispose]() {
      for (const one of started.reverse()) await one[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    },
  };
  for (let i = 0; i < (options.controlPlanes ?? 1); i++) await ritmo.startControlPlane();
  return ritmo;
}

function bearer(token: string): Interceptor {
  return (next) => (request) => {
    request.header.set("authorization", `Bearer ${token}`);
    return next(request);
  };
}
