import { Refusal } from "../../process/refusal.ts";
import { BlobMissing, type BlobStore, PartsRefused } from "./blobs.ts";

const RETRY_MS = 2_000;
const LISTINGS = new Set(["list", "listUploads"]);
// What the minio client says when it gives up, without a code.
const RETRIED = /^Request failed after \d+ retries/;

/** A store whose own faults are told as `unavailable` (STORE_UNAVAILABLE), whatever its client or the disk calls them. */
export function tellStoreFaults(store: BlobStore): BlobStore {
  const { put, create, get, head, delete: remove } = store;
  return {
    ...store,
    put: told(put),
    create: told(create),
    get: told(get),
    head: told(head),
    delete: told(remove),
    ...(store.signed ? { signed: toldAll(store.signed) } : {}),
    ...(store.growing ? { growing: toldAll(store.growing) } : {}),
  };
}

/** Listings are for upkeep, which tells their faults itself. */
function toldAll<T extends object>(part: T): T {
  return Object.fromEntries(
    Object.entries(part).map(([name, run]) => [name, LISTINGS.has(name) ? run : told(run)]),
  ) as T;
}

function told<A extends unknown[], R>(run: (...args: A) => Promise<R>): (...args: A) => Promise<R> {
  return async (...args) => {
    try {
      return await run(...args);
    } catch (reason) {
      throw isStoreFault(reason) ? unavailable(reason) : reason;
    }
  };
}

/** Errors of the S3 client, of sockets and of the file system have a code; what a caller did has none. */
function isStoreFault(reason: unknown): boolean {
  if (reason instanceof Refusal || reason instanceof BlobMissing || reason instanceof PartsRefused) return false;
  return reason instanceof Error && ("code" in reason || RETRIED.test(reason.message));
}

function unavailable(reason: unknown): Refusal {
  const refusal = new Refusal("unavailable", "STORE_UNAVAILABLE", "the object store did not do its part; try again", {
    retryAfterMs: RETRY_MS,
  });
  refusal.cause = reason;
  return refusal;
}
