import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Metrics, openMetrics } from "../control-plane/metrics.ts";
import type { BlobStore } from "../control-plane/store/blobs.ts";
import { openFileBlobs } from "../control-plane/store/file-blobs.ts";
import { type Hints, openHints } from "../control-plane/store/hints.ts";
import type { Db } from "../control-plane/store/open-database.ts";
import { type Logger, openLogger } from "../process/logger.ts";
import { freshDatabase } from "./fresh-database.ts";

/** What the verbs about logs and artifacts need, open on a real database and a real folder. */
export interface ByteFixture extends AsyncDisposable {
  db: Db;
  hints: Hints;
  blobs: BlobStore;
  metrics: Metrics;
  logger: Logger;
  stopping: AbortSignal;
  folder: string;
  databaseUrl: string;
}

export async function byteFixture(): Promise<ByteFixture> {
  const fresh = await freshDatabase();
  const logger = openLogger("test", "silent");
  const folder = mkdtempSync(join(tmpdir(), "ritmo-blobs-"));
  const blobs = openFileBlobs(folder);
  await blobs.check();
  const hints = openHints(fresh.url, logger);
  const stopping = new AbortController();
  return {
    db: fresh.db,
    hints,
    blobs,
    metrics: openMetrics({ processMetrics: false }),
    logger,
    stopping: stopping.signal,
    folder,
    databaseUrl: fresh.url,
    async [Symbol.asyncDispose]() {
      stopping.abort();
      await hints.close();
      await fresh[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
