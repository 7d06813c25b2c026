import type { Core } from "./core.ts";

export interface WatchedReadiness {
  /** What is wrong with each dependency, in one line, or undefined. */
  parts(): Promise<Record<string, string | undefined>>;
  isReady(): Promise<boolean>;
}

const REMEMBER_MS = 1_000;
const PROBE_WITHIN_MS = 3_000;

/** Asks the database and the object store whether they answer, at most once a second however often it is asked. */
export function watchReadiness({ db, blobs, stopping }: Pick<Core, "db" | "blobs" | "stopping">): WatchedReadiness {
  let known: { until: number; parts: Promise<Record<string, string | undefined>> } | undefined;
  const parts = async () => {
    if (stopping.aborted) return { server: "it is stopping" };
    if (!known || known.until < Date.now()) known = { until: Date.now() + REMEMBER_MS, parts: probe() };
    return await known.parts;
  };
  async function probe() {
    const [database, store] = await Promise.all([faultOf(db.sql`SELECT 1`), faultOf(blobs.check())]);
    return { database, store };
  }
  return { parts, isReady: async () => Object.values(await parts()).every((fault) => fault === undefined) };
}

async function faultOf(probe: PromiseLike<unknown>): Promise<string | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve(`no answer within ${PROBE_WITHIN_MS} ms`), PROBE_WITHIN_MS);
  });
  try {
    return await Promise.race([Promise.resolve(probe).then(() => undefined), late]);
  } catch (reason) {
    return (reason as Error).message;
  } finally {
    clearTimeout(timer);
  }
}
