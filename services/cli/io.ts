import type { Readable } from "node:stream";

export interface Output {
  /** Resolves when the bytes are handed over; throws OutputClosed when nobody reads any more. */
  write(data: string | Uint8Array): Promise<void>;
}

/** Everything that a command touches of its process, so that tests can bring their own. */
export interface Io {
  stdout: Output;
  stderr: Output;
  stdin: Readable;
  stdinIsTty: boolean;
  env: Record<string, string | undefined>;
  /** Whether stdout is a terminal. */
  isTty: boolean;
  columns: number;
  cwd: string;
  /** Aborts at Ctrl-C. */
  signal: AbortSignal;
}

/** The reader of stdout has gone, as `head` does. */
export class OutputClosed extends Error {
  override readonly name = "OutputClosed";
}

/** The Io of this process. */
export function processIo(signal: AbortSignal): Io {
  return {
    stdout: outputOf(process.stdout, true),
    stderr: outputOf(process.stderr, false),
    get stdin() {
      return process.stdin;
    },
    stdinIsTty: process.stdin.isTTY === true,
    env: process.env,
    isTty: process.stdout.isTTY === true,
    columns: process.stdout.columns ?? 80,
    cwd: process.cwd(),
    signal,
  };
}

function outputOf(stream: NodeJS.WriteStream, tellsOfEnd: boolean): Output {
  // Without a listener the error of a closed pipe would end the process with a stack.
  stream.on("error", () => {});
  return {
    write: (data) =>
      new Promise((resolve, reject) => {
        stream.write(data, (reason) => {
          if (!reason || !tellsOfEnd) resolve();
          else reject((reason as NodeJS.ErrnoException).code === "EPIPE" ? new OutputClosed() : reason);
        });
      }),
  };
}

/** All of an input as text; at most 8 MiB of it. */
export async function readAll(stdin: Readable): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of stdin) {
    bytes += part.length;
    if (bytes > 8 * 1024 * 1024) throw new Error("standard input is over 8 MiB");
    parts.push(Buffer.from(part));
  }
  return Buffer.concat(parts).toString("utf8");
}
