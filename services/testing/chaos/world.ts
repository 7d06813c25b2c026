import { chmodSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { migrate } from "../../control-plane/store/migrate.ts";
import { type Db, openDatabase } from "../../control-plane/store/open-database.ts";
import { type EmbeddedPostgres, startPostgres } from "../../postgres/start-postgres.ts";
import { freePort } from "../../process/free-port.ts";
import { openLogger } from "../../process/logger.ts";
import { sleep } from "../../process/wait.ts";
import type { RunningProcess } from "../run-process.ts";
import { type Ritmo, startRitmo } from "../start-ritmo.ts";

/** Something that can be killed, frozen and brought back. */
export interface Part {
  name: string;
  kill(): Promise<void>;
  /** Brings it back after a kill; repeats until it comes up. */
  revive(): Promise<void>;
  freeze?(): Promise<void>;
  thaw?(): Promise<void>;
}

/** A whole deployment on one machine: PostgreSQL, two control planes, two workers. */
export interface World extends AsyncDisposable {
  ritmo: Ritmo;
  db: Db;
  /** Where steps write what they do. */
  witnessFolder: string;
  parts: Part[];
}

const LEASE_SECONDS = 3;
const REVIVE_PAUSE_MS = 300;

export async function openWorld(): Promise<World> {
  const folder = mkdtempSync(join(tmpdir(), "ritmo-chaos-"));
  chmodSync(folder, 0o755);
  const witnessFolder = join(folder, "witness");
  mkdirSync(witnessFolder);
  const postgres = await keepPostgres(join(folder, "postgres"));
  const db = openDatabase({ url: postgres.url });
  await migrate(db, openLogger("chaos", "silent"));
  const ritmo = await startRitmo({ databaseUrl: postgres.url, db, controlPlanes: 0, leaseSeconds: LEASE_SECONDS });
  const planes = [await planeOf(ritmo, "control plane 1"), await planeOf(ritmo, "control plane 2")];
  const workers = [await workerOf(ritmo, "w1"), await workerOf(ritmo, "w2")];
  return {
    ritmo,
    db,
    witnessFolder,
    parts: [postgres, ...planes, ...workers],
    async [Symbol.asyncDispose]() {
      await ritmo[Symbol.asyncDispose]();
      await db.close();
      await postgres.kill();
      rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
    },
  };
}

async function keepPostgres(folder: string): Promise<Part & { url: string }> {
  let server: EmbeddedPostgres = await startPostgres({ folder });
  const { port, url } = server;
  return {
    name: "PostgreSQL",
    url,
    async kill() {
      process.kill(server.pid, "SIGKILL");
      await server.ended;
    },
    revive: () =>
      untilDone(async () => {
        server = await startPostgres({ folder, port });
      }),
  };
}

async function planeOf(ritmo: Ritmo, name: string): Promise<Part> {
  const env = { RITMO_LISTEN: await loopback(), RITMO_WORKER_LISTEN: await loopback() };
  return processPart(name, () => ritmo.startControlPlane(env));
}

async function workerOf(ritmo: Ritmo, name: string): Promise<Part> {
  return processPart(`worker ${name}`, () =>
    ritmo.startWorker(name, { RITMO_SLOTS: "3", RITMO_DISK_FULL_SECONDS: "5" }),
  );
}

async function loopback(): Promise<string> {
  return `127.0.0.1:${await freePort()}`;
}

async function processPart(name: string, start: () => Promise<RunningProcess>): Promise<Part> {
  let running = await start();
  return {
    name,
    kill: () => running.signal("SIGKILL"),
    revive: () =>
      untilDone(async () => {
        running = await start();
      }),
    freeze: () => running.signal("SIGSTOP"),
    thaw: () => running.signal("SIGCONT"),
  };
}

/** Other parts may be away that it needs. */
async function untilDone(work: () => Promise<void>): Promise<void> {
  for (;;) {
    try {
      return await work();
    } catch {
      await sleep(REVIVE_PAUSE_MS);
    }
  }
}
