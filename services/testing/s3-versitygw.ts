import { type ChildProcess, spawn } from "node:child_process";
import { accessSync, constants, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { Client } from "minio";
import { freePort } from "../process/free-port.ts";
import { sleep } from "../process/wait.ts";
import type { TestS3 } from "./start-weed.ts";

/** Why a test is skipped where there is none. */
export const NO_VERSITYGW = "no versitygw was found; RITMO_TEST_VERSITYGW names its program";

const KEYS = { accessKeyId: "ritmo", secretAccessKey: "ritmosecret123" };
const READY_WITHIN_MS = 20_000;

/** The versitygw program: RITMO_TEST_VERSITYGW, or the one on PATH; undefined without any. */
export function findVersitygw(): string | undefined {
  const given = process.env["RITMO_TEST_VERSITYGW"];
  if (given) return given;
  const onPath = (process.env["PATH"] ?? "").split(delimiter).map((folder) => join(folder, "versitygw"));
  return onPath.find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Starts versitygw over a folder of its own on loopback; ended and removed at the end of `await using`. */
export async function startVersitygw(program: string): Promise<TestS3> {
  const folder = mkdtempSync(join(tmpdir(), "ritmo-versitygw-"));
  const port = await freePort();
  for (const name of ["data", "versions"]) mkdirSync(join(folder, name));
  const child = spawn(
    program,
    [
      ...["--port", `127.0.0.1:${port}`, "--health", "/healthz", "--region", "us-east-1"],
      ...["posix", "--versioning-dir", join(folder, "versions"), join(folder, "data")],
    ],
    {
      env: { PATH: process.env["PATH"], ROOT_ACCESS_KEY: KEYS.accessKeyId, ROOT_SECRET_KEY: KEYS.secretAccessKey },
      stdio: "ignore",
    },
  );
  const endpoint = `http://127.0.0.1:${port}`;
  try {
    await untilHealthy(child, endpoint);
  } catch (reason) {
    await end(child, folder);
    throw reason;
  }
  const client = new Client({
    ...{ endPoint: "127.0.0.1", port, useSSL: false, region: "us-east-1" },
    ...{ accessKey: KEYS.accessKeyId, secretKey: KEYS.secretAccessKey },
  });
  let buckets = 0;
  return {
    ...KEYS,
    endpoint,
    async makeBucket() {
      const bucket = `test-${process.pid}-${buckets++}`;
      await client.makeBucket(bucket);
      return bucket;
    },
    [Symbol.asyncDispose]: () => end(child, folder),
  };
}

async function untilHealthy(child: ChildProcess, endpoint: string): Promise<void> {
  for (const until = Date.now() + READY_WITHIN_MS; Date.now() < until && child.exitCode === null; await sleep(50)) {
    const healthy = await fetch(`${endpoint}/healthz`).then(
      (answer) => answer.ok,
      () => false,
    );
    if (healthy) return;
  }
  throw new Error("versitygw did not become ready");
}

async function end(child: ChildProcess, folder: string): Promise<void> {
  const gone = new Promise((resolve) => child.once("exit", resolve));
  if (child.exitCode === null && child.kill("SIGKILL")) await gone;
  rmSync(folder, { recursive: true, force: true });
}
