import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Transport } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { CONTROL_PLANE_SETTINGS } from "../control-plane/config.ts";
import { WORKER_SETTINGS } from "../worker/config.ts";
import { type Addresses, claimAddresses } from "./addresses.ts";
import { awaitWorker } from "./await-worker.ts";
import { environmentFor, type UpConfig } from "./config.ts";
import { endSteps } from "./end-steps.ts";
import { gatherTrust } from "./gather-trust.ts";
import { keepPostgres } from "./keep-postgres.ts";
import { type KeptPart, keepRunning } from "./keep-running.ts";
import { loadSample } from "./load-sample.ts";
import { lockDataFolder } from "./lock-data-folder.ts";
import { outerPath } from "./outer-path.ts";
import { prepareFolder } from "./prepare-folder.ts";
import { openRecordedProcesses, type RecordedProcesses } from "./recorded-processes.ts";
import { saveContext } from "./save-context.ts";
import { showPath } from "./show-path.ts";
import {
  type Ask,
  areKnown,
  askControlPlane,
  type LocalTokens,
  makeSetupCode,
  makeTokens,
  readTokens,
  writeTokens,
} from "./sign-in.ts";
import type { Tell } from "./tell.ts";
import { untilReady } from "./until-ready.ts";

export interface UpOptions {
  config: UpConfig;
  env: NodeJS.ProcessEnv;
  tell: Tell;
  /** Aborts at the first Ctrl-C: stop in order. */
  stopping: AbortSignal;
  /** Aborts at the second: stop at once. */
  insisting: AbortSignal;
}

/** What every leg of the start needs. */
interface Scene extends UpOptions {
  dataDir: string;
  addresses: Addresses;
  records: RecordedProcesses;
  /** Undone in the reverse order at the end. */
  stack: AsyncDisposableStack;
}

const CONTROL_PLANE = join(import.meta.dirname, "../control-plane/main.ts");
const WORKER = join(import.meta.dirname, "../worker/main.ts");
const CHECKOUT = join(import.meta.dirname, "../..");
const WORKER_NAME = "local";
const READY_TIMEOUT_MS = 60_000;
// Beyond its drain: to end the steps that are left and ship the rest of their logs.
const WORKER_GRACE_MS = 10_000;
const CONTROL_PLANE_GRACE_MS = 10_000;

/**
 * Starts PostgreSQL, the control plane and a worker on this machine, keeps them running until `stopping` aborts, and
 * stops them in the reverse order. Throws UpProblem or PostgresStartError when it can't; nothing is left running then.
 */
export async function runUp(options: UpOptions): Promise<void> {
  const begunAt = Date.now();
  await using stack = new AsyncDisposableStack();
  const { tell, stopping } = options;
  const dataDir = prepareFolder(options.config.dataDir);
  const lock = lockDataFolder(dataDir);
  stack.defer(lock.release);
  const records = openRecordedProcesses(join(dataDir, "processes.json"));
  const left = await records.endLeftovers();
  if (left.length > 0) tell.line(`Ended what a killed start had left running: ${left.join(", ")}.`);
  const addresses = await claimAddresses(options.config);
  lock.tell(addresses.url);
  const scene: Scene = { ...options, dataDir, addresses, records, stack };

  const databaseUrl = await startDatabase(scene);
  if (stopping.aborted) return;
  const env = controlPlaneEnv(scene, databaseUrl);
  const ask = askControlPlane(CONTROL_PLANE, env, options.config.databaseUrl !== undefined);
  // The first tokens are there before the server is, which would otherwise greet an empty database with a code.
  const kept = readTokens(dataDir) ?? (await makeTokens(dataDir, ask));
  const [, setupCode] = await Promise.all([startControlPlane(scene, env), makeSetupCode(ask)]);
  if (stopping.aborted) return;
  const tokens = await renewUnlessKnown(scene, ask, kept);
  const transport = transportTo(addresses.localUrl, tokens.adminToken);
  await startWorker(scene, tokens, transport);
  if (stopping.aborted) return;
  const sampleLoaded = await loadSampleOnce(scene, tokens, transport);
  const context = signCliIn(scene, tokens);
  const { url } = addresses;
  tell.ready({ url, setupCode, dataDir, tookMs: Date.now() - begunAt, sampleLoaded, context });
  await new Promise<void>((resolve) => {
    if (stopping.aborted) resolve();
    stopping.addEventListener("abort", () => resolve(), { once: true });
  });
}

async function startDatabase({ config, dataDir, tell, insisting, stack }: Scene): Promise<string> {
  if (config.databaseUrl !== undefined) return config.databaseUrl;
  const startedAt = Date.now();
  const server = await keepPostgres(dataDir, tell.line);
  stack.defer(() => server.stop());
  insisting.addEventListener("abort", () => server.kill(), { once: true });
  tell.started("PostgreSQL", Date.now() - startedAt);
  return server.url;
}

function controlPlaneEnv({ config, env, dataDir, addresses }: Scene, databaseUrl: string): NodeJS.ProcessEnv {
  const blobs = config.s3Endpoint === undefined ? (config.blobDir ?? join(dataDir, "blobs")) : undefined;
  // One that was named must be there, which the control plane insists on: it may be a mount.
  if (blobs !== undefined && blobs !== config.blobDir) mkdirSync(blobs, { recursive: true, mode: 0o700 });
  return environmentFor(CONTROL_PLANE_SETTINGS, env, {
    RITMO_DATABASE_URL: databaseUrl,
    RITMO_BLOB_DIR: blobs,
    RITMO_LISTEN: addresses.listen,
    RITMO_WORKER_LISTEN: addresses.workerListen,
    RITMO_METRICS_LISTEN: addresses.metricsListen,
    RITMO_ALLOW_LOCAL_REPOSITORIES: String(config.allowLocalRepositories),
  });
}

async function startControlPlane(scene: Scene, env: NodeJS.ProcessEnv): Promise<void> {
  const { addresses, tell, stopping } = scene;
  const startedAt = Date.now();
  const logPath = logOf(scene, "control-plane");
  const part = keepPart(scene, "control plane", CONTROL_PLANE, env, logPath, CONTROL_PLANE_GRACE_MS);
  await untilReady(addresses.readyUrl, {
    name: "control plane",
    logPath,
    timeoutMs: READY_TIMEOUT_MS,
    ends: () => part.ends,
    signal: stopping,
  });
  if (!stopping.aborted) tell.started("control plane", Date.now() - startedAt);
}

/** Another database than the one the tokens are of makes new ones. */
async function renewUnlessKnown({ dataDir, addresses }: Scene, ask: Ask, kept: LocalTokens): Promise<LocalTokens> {
  const known = await areKnown(WORKER_NAME, transportTo(addresses.localUrl, kept.adminToken));
  return known ? kept : await makeTokens(dataDir, ask);
}

async function startWorker(scene: Scene, tokens: LocalTokens, transport: Transport): Promise<void> {
  const { config, dataDir, addresses, tell, stopping, stack } = scene;
  const startedAt = Date.now();
  const workDir = join(dataDir, "work");
  const env = environmentFor(WORKER_SETTINGS, scene.env, {
    PATH: outerPath(scene.env["PATH"] ?? "", CHECKOUT),
    RITMO_CONTROL_PLANE: addresses.controlPlane,
    RITMO_WORKER_TOKEN: tokens.workerToken,
    RITMO_WORK_DIR: workDir,
    RITMO_WORKER_TLS_CA: gatherTrust(config, join(dataDir, "worker-ca.pem")),
    RITMO_DRAIN_SECONDS: String(config.drainSeconds),
    RITMO_ALLOW_LOCAL_REPOSITORIES: String(config.allowLocalRepositories),
  });
  // Undone after the worker has ended: a worker that had to be killed could not end its steps.
  stack.defer(() => endSteps(workDir));
  const heard = awaitWorker(WORKER_NAME, transport, stopping);
  const logPath = logOf(scene, "worker");
  keepPart(scene, "worker", WORKER, env, logPath, config.drainSeconds * 1000 + WORKER_GRACE_MS);
  if (await heard) tell.started("worker", Date.now() - startedAt);
  else if (!stopping.aborted)
    tell.line(`The worker has not come in yet; it goes on trying. Its log: ${showPath(logPath)}`);
}

function keepPart(
  { records, tell, insisting, stack }: Scene,
  name: string,
  program: string,
  env: NodeJS.ProcessEnv,
  logPath: string,
  patienceMs: number,
): KeptPart {
  const part = keepRunning(
    { name, program: process.execPath, args: [program], env, logPath },
    { records, say: tell.line },
  );
  stack.defer(() => part.stop(patienceMs));
  insisting.addEventListener("abort", () => part.kill(), { once: true });
  return part;
}

function logOf({ dataDir }: Scene, name: string): string {
  return join(dataDir, "logs", `${name}.log`);
}

// The certificate of our own child on this machine need not be one that this machine trusts.
function transportTo(baseUrl: string, token: string): Transport {
  return createConnectTransport({
    baseUrl,
    httpVersion: "1.1",
    nodeOptions: { rejectUnauthorized: false },
    interceptors: [
      (next) => (request) => {
        request.header.set("authorization", `Bearer ${token}`);
        return next(request);
      },
    ],
  });
}

async function loadSampleOnce({ dataDir, tell }: Scene, tokens: LocalTokens, transport: Transport): Promise<boolean> {
  if (tokens.sampleLoaded) return false;
  try {
    const loaded = await loadSample(dataDir, transport);
    writeTokens(dataDir, { ...tokens, sampleLoaded: true });
    return loaded;
  } catch (reason) {
    tell.line(`The sample job could not be loaded: ${(reason as Error).message}`);
    return false;
  }
}

/** Answers the context to name on the command line, where the current one is another. */
function signCliIn({ env, dataDir, addresses, tell }: Scene, tokens: LocalTokens): string | undefined {
  try {
    const saved = saveContext(env, { server: addresses.localUrl, token: tokens.adminToken, dataDir });
    return saved.current ? undefined : saved.name;
  } catch (reason) {
    tell.line((reason as Error).message);
    return undefined;
  }
}
