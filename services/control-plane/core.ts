import type { Logger } from "../process/logger.ts";
import type { Config } from "./config.ts";
import type { Metrics } from "./metrics.ts";
import type { BlobStore } from "./store/blobs.ts";
import type { Hints } from "./store/hints.ts";
import type { Db } from "./store/open-database.ts";

/** What a replica has open. Everything that must outlive it is behind `db` and `blobs`. */
export interface Core {
  config: Config;
  /** The address of links, without a slash at its end. */
  url: string;
  db: Db;
  hints: Hints;
  blobs: BlobStore;
  metrics: Metrics;
  logger: Logger;
  /** Aborts when this replica begins to stop: take nothing new, end streams. */
  stopping: AbortSignal;
}
