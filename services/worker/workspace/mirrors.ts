import { createHash } from "node:crypto";
import { mkdir, readdir, rm, stat, utimes } from "node:fs/promises";
import { join } from "node:path";

/** A mirror in use: it is neither replaced nor removed before it is given back. */
export interface Mirror {
  gitDir: string;
  /** Runs alone among all who use this mirror; what only reads needs no turn. Rejects when the signal aborts. */
  alone<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T>;
  /** What is there is damaged: the next who asks gets a new one. */
  condemn(): void;
}

/** Bare copies of repositories, one for each, kept between steps and used by several at once. */
export interface Mirrors {
  of(repository: string): Promise<Mirror>;
  /** Removes what nobody used for long, and what was damaged. Only before any is in use. */
  tidy(): Promise<void>;
}

const UNUSED_MS = 30 * 24 * 3600 * 1000;

export function openMirrors(workDir: string): Mirrors {
  const root = join(workDir, "mirrors");
  const generations = new Map<string, number>();
  const turns = new Map<string, Promise<unknown>>();
  return {
    async of(repository) {
      const name = createHash("sha256").update(repository).digest("hex").slice(0, 32);
      const gitDir = join(root, name, String(generations.get(name) ?? (await newest(join(root, name)))));
      generations.set(name, Number(gitDir.slice(gitDir.lastIndexOf("/") + 1)));
      await mkdir(gitDir, { recursive: true, mode: 0o700 });
      const now = new Date();
      await utimes(join(root, name), now, now);
      return {
        gitDir,
        async alone(work, signal) {
          const turn = (turns.get(gitDir) ?? Promise.resolve()).then(() => {
            signal.throwIfAborted();
            return work();
          });
          const settled = turn.then(
            () => {},
            () => {},
          );
          turns.set(gitDir, settled);
          // Another step's fetch may take long; who is stopped does not wait for it.
          await untilEither(settled, signal);
          signal.throwIfAborted();
          return turn;
        },
        // Workspaces that borrow its objects go on with it, so it stays until nobody can.
        condemn: () => generations.set(name, Number(gitDir.slice(gitDir.lastIndexOf("/") + 1)) + 1),
      };
    },
    async tidy() {
      for (const name of await readdir(root).catch(() => [])) {
        const folder = join(root, name);
        const { mtimeMs } = await stat(folder);
        const keep = Date.now() - mtimeMs > UNUSED_MS ? -1 : await newest(folder);
        for (const generation of await readdir(folder)) {
          const gitDir = join(folder, generation);
          if (Number(generation) !== keep) await rm(gitDir, { recursive: true, force: true });
          // A worker that was killed may have left git's locks.
          else await removeLocks(gitDir);
        }
      }
    },
  };
}

async function newest(folder: string): Promise<number> {
  const numbers = (await readdir(folder).catch(() => [])).map(Number).filter(Number.isSafeInteger);
  return Math.max(0, ...numbers);
}

async function removeLocks(gitDir: string): Promise<void> {
  for (const name of await readdir(gitDir)) if (name.endsWith(".lock")) await rm(join(gitDir, name), { force: true });
}

function untilEither(settled: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      signal.removeEventListener("abort", done);
      resolve();
    };
    signal.addEventListener("abort", done, { once: true });
    if (signal.aborted) done();
    void settled.then(done);
  });
}
