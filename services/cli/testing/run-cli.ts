import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import type { Io } from "../io.ts";
import { run } from "../run.ts";

export interface Ran {
  code: number;
  out: string;
  err: string;
  bytes: Buffer;
}

/** A home of its own, so that no test meets the contexts of who runs it. */
export interface Home extends Disposable {
  path: string;
  env: Record<string, string | undefined>;
}

export function makeHome(env: Record<string, string | undefined> = {}): Home {
  const path = mkdtempSync(join(tmpdir(), "ritmo-cli-"));
  return {
    path,
    env: { XDG_CONFIG_HOME: join(path, "config"), ...env },
    [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }),
  };
}

export interface Given extends Partial<Omit<Io, "stdin">> {
  stdin?: string;
  /** Called with everything that stdout has so far. */
  onOut?: (out: string) => void;
}

/** Runs one command line in this process, with pipes instead of a terminal. */
export async function runCli(argv: string[], { stdin = "", onOut, ...given }: Given = {}): Promise<Ran> {
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  const io: Io = {
    stdout: {
      async write(data) {
        out.push(Buffer.from(data));
        onOut?.(Buffer.concat(out).toString());
      },
    },
    stderr: {
      async write(data) {
        err.push(Buffer.from(data));
      },
    },
    stdin: Readable.from([Buffer.from(stdin)]),
    stdinIsTty: false,
    env: {},
    isTty: false,
    columns: 100,
    cwd: tmpdir(),
    signal: new AbortController().signal,
    ...given,
  };
  const code = await run(argv, io);
  const bytes = Buffer.concat(out);
  return { code, out: bytes.toString(), err: Buffer.concat(err).toString(), bytes };
}
