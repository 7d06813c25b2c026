import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { openLogger } from "../../process/logger.ts";
import { readSettings } from "../../process/read-settings.ts";
import { WORKER_SETTINGS } from "../config.ts";
import { openWorker, type RunningWorker } from "../open-worker.ts";
import type { FakeControlPlane } from "./fake-control-plane.ts";

export interface TestWorker extends AsyncDisposable {
  worker: RunningWorker;
  workDir: string;
}

/** A folder that a test's worker may have, removed at the end. */
export function workFolder(): Disposable & { path: string } {
  const path = mkdtempSync(join(tmpdir(), "ritmo-worker-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true, maxRetries: 3 }) };
}

/** A worker within the test's own process, attached to the peer. */
export async function startWorker(
  peer: FakeControlPlane,
  workDir: string,
  env: Record<string, string> = {},
  surroundings: Record<string, string> = {},
): Promise<TestWorker> {
  const settings = {
    RITMO_CONTROL_PLANE: peer.address,
    RITMO_WORKER_TOKEN: peer.token,
    RITMO_WORK_DIR: workDir,
    RITMO_ALLOW_LOCAL_REPOSITORIES: "true",
    RITMO_SLOTS: "4",
    RITMO_LOG_LEVEL: "silent",
    ...env,
  };
  const { values } = readSettings(WORKER_SETTINGS, settings);
  const config = { ...values, token: peer.token };
  const worker = await openWorker(config, { ...process.env, ...surroundings }, openLogger("worker", values.logLevel));
  await expect.poll(() => peer.attached(), { timeout: 10_000, interval: 5 }).toBe(true);
  return {
    worker,
    workDir,
    async [Symbol.asyncDispose]() {
      worker.drain();
      worker.stopNow();
      await worker.over;
    },
  };
}
