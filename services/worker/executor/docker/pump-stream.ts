import type { Readable } from "node:stream";
import { sleep } from "../../../process/wait.ts";
import type { AttemptLog } from "../../log/attempt-log.ts";

export interface PumpParts {
  log: AttemptLog;
  take(piece: Buffer): void;
  /** Stops and continues what writes, where the log stays full; answers whether it did. */
  hold(): Promise<boolean>;
  letGo(): Promise<void>;
  signal: AbortSignal;
}

// A log that is full for longer is waiting for the network or for a disk, not for the next turn.
const PATIENCE_MS = 500;

/**
 * Reads a stream into the log; resolves with whether it came to its end, or something else ended it.
 *
 * Where the log is full nothing is read, and the engine makes the commands wait. Not for long, though: an engine gives
 * up the last bytes of a container that ended while nobody read (2 s in Docker 20.10). So the container itself is
 * held, what is on its way is read, and it goes on when there is room.
 */
export function pumpStream(stream: Readable, { log, take, hold, letGo, signal }: PumpParts): Promise<boolean> {
  return new Promise((resolve) => {
    let relieving: Promise<void> | undefined;
    let over = false;
    const end = (atEnd: boolean) => {
      if (over) return;
      over = true;
      signal.removeEventListener("abort", abort);
      stream.destroy();
      void (relieving ?? Promise.resolve()).then(() => resolve(atEnd));
    };
    const abort = () => end(false);
    const relieve = async () => {
      await log.room(AbortSignal.any([signal, AbortSignal.timeout(PATIENCE_MS)]));
      if (!log.full() || log.failure.aborted || over) return void stream.resume();
      const held = await hold();
      stream.resume();
      // Until then the bytes that were on their way are taken, full or not.
      while (held && log.full() && !log.failure.aborted && !signal.aborted) {
        await log.room(AbortSignal.any([signal, AbortSignal.timeout(1_000)]));
      }
      if (held) await letGo();
      else await sleep(PATIENCE_MS, signal);
    };
    stream.on("data", (piece: Buffer) => {
      try {
        take(piece);
      } catch {
        return end(false);
      }
      if (!log.full() || relieving) return;
      stream.pause();
      relieving = relieve().finally(() => {
        relieving = undefined;
      });
    });
    stream.once("end", () => end(true));
    for (const event of ["close", "error", "aborted"]) stream.once(event, abort);
    signal.addEventListener("abort", abort, { once: true });
    if (signal.aborted) abort();
  });
}
