import { join } from "node:path";
import { type EmbeddedPostgres, startPostgres } from "../postgres/start-postgres.ts";
import { sleep } from "../process/wait.ts";
import { showPath } from "./show-path.ts";

export interface KeptPostgres {
  url: string;
  stop(): Promise<void>;
  /** Ends it at once; the next start replays its log. */
  kill(): void;
}

const PAUSE_MS = 500;

/** Starts the embedded PostgreSQL, and starts it again at the same port whenever it ends. Throws PostgresStartError. */
export async function keepPostgres(dataDir: string, say: (line: string) => void): Promise<KeptPostgres> {
  const folder = join(dataDir, "postgres");
  const stopping = new AbortController();
  let server = await startPostgres({ folder });
  const { url, port } = server;
  const over = supervise();

  async function supervise(): Promise<void> {
    for (;;) {
      await server.ended;
      if (stopping.signal.aborted) return;
      say(`PostgreSQL ended. Starting it again. Its log: ${showPath(join(folder, "postgres.log"))}`);
      const again = await startAgain();
      if (!again) return;
      server = again;
      if (stopping.signal.aborted) await server.stop();
    }
  }

  async function startAgain(): Promise<EmbeddedPostgres | undefined> {
    while (!stopping.signal.aborted) {
      try {
        return await startPostgres({ folder, port });
      } catch (reason) {
        say((reason as Error).message);
        await sleep(PAUSE_MS, stopping.signal);
      }
    }
    return undefined;
  }

  return {
    url,
    async stop() {
      stopping.abort();
      await server.stop();
      await over;
    },
    kill() {
      stopping.abort();
      process.kill(server.pid, "SIGQUIT");
    },
  };
}
