import { readSync } from "node:fs";
import { Socket } from "node:net";
import type { AttemptLog } from "../../log/attempt-log.ts";

/** Reads a step's pipe into its log. */
export interface OutputReader {
  /** Reads what is in the pipe at this moment. */
  catchUp(): Promise<void>;
  /** Resolves when nobody holds the other end any more. */
  readonly closed: Promise<void>;
  /** Reads the last bytes and lets go of the pipe, whoever may still hold the other end. */
  finish(): Promise<void>;
}

const PIECE_BYTES = 64 * 1024;
// A pipe holds 64 KiB by default and at most a mebibyte; more than that was written after the question.
const MAX_CATCH_UP_BYTES = 1024 * 1024;

/** Begins to read; where the log is full the pipe is left alone, and the step waits. */
export function readOutput(readFd: number, log: AttemptLog): OutputReader {
  const socket = new Socket({ fd: readFd, readable: true, writable: false });
  const closed = Promise.withResolvers<void>();
  let atEnd = false;
  socket.on("data", (bytes: Buffer) => {
    log.append(bytes);
    if (!log.full()) return;
    socket.pause();
    void log.room().then(() => socket.resume());
  });
  socket.on("end", () => {
    atEnd = true;
  });
  socket.on("close", () => {
    atEnd = true;
    closed.resolve();
  });
  // A pipe has no errors that its end would not tell as well.
  socket.on("error", () => {});

  const catchUp = async (maxBytes: number): Promise<void> => {
    for (let taken = 0; !atEnd && taken < maxBytes; ) {
      await log.room();
      const bytes = readNow(readFd);
      if (!bytes) return;
      log.append(bytes);
      taken += bytes.length;
    }
  };
  return {
    catchUp: () => catchUp(MAX_CATCH_UP_BYTES),
    closed: closed.promise,
    async finish() {
      await catchUp(Number.POSITIVE_INFINITY);
      socket.destroy();
    },
  };
}

/** What is there without waiting; undefined when nothing is, or nothing will be. */
function readNow(fd: number): Buffer | undefined {
  const bytes = Buffer.allocUnsafe(PIECE_BYTES);
  try {
    const length = readSync(fd, bytes, 0, PIECE_BYTES, null);
    return length > 0 ? bytes.subarray(0, length) : undefined;
  } catch {
    return undefined;
  }
}
