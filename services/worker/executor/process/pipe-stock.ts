import { execFile } from "node:child_process";
import { closeSync, constants, openSync, unlinkSync } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

export interface PipeEnds {
  readFd: number;
  writeFd: number;
}

/** Real pipes with two ends. */
export interface PipeStock {
  take(): Promise<PipeEnds>;
}

const STOCKED = 16;

/**
 * Node has no pipe(2), and the sockets it gives to children can't be opened again, so that `echo > /dev/stderr` would
 * fail in a step. A FIFO that is unlinked once both ends are open is a pipe. Some are kept ready, since making one
 * takes a process.
 */
export function pipeStock(folder: string): PipeStock {
  let count = 0;
  let ready: Promise<string>[] = [];
  const cleared = rm(folder, { recursive: true, force: true }).then(() =>
    mkdir(folder, { recursive: true, mode: 0o700 }),
  );
  const make = async (): Promise<string[]> => {
    await cleared;
    const paths = Array.from({ length: STOCKED }, () => join(folder, `pipe-${count++}`));
    await promisify(execFile)("mkfifo", ["-m", "600", ...paths]);
    return paths;
  };
  const stock = () => {
    const made = make();
    for (let index = 0; index < STOCKED; index++) {
      const path = made.then((paths) => paths[index] as string);
      // Whoever takes it hears of the failure; nobody may ever take it.
      path.catch(() => {});
      ready.push(path);
    }
  };
  stock();
  return {
    async take() {
      const next = ready.shift();
      if (ready.length < STOCKED / 2) stock();
      let path: string;
      try {
        path = await (next as Promise<string>);
      } catch (reason) {
        ready = [];
        stock();
        throw reason;
      }
      return openBothEnds(path);
    },
  };
}

function openBothEnds(path: string): PipeEnds {
  // The reading end first and without waiting: opening a FIFO for writing waits for a reader otherwise.
  const readFd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    return { readFd, writeFd: openSync(path, constants.O_WRONLY) };
  } catch (reason) {
    closeSync(readFd);
    throw reason;
  } finally {
    unlinkSync(path);
  }
}
