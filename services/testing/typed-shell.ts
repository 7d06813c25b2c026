import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** What one typed line did. */
export interface Typed {
  code: number;
  out: string;
  /** Standard output as it came. */
  bytes: Buffer;
  err: string;
}

export interface TypedShell extends AsyncDisposable {
  type(line: string): Promise<Typed>;
}

/** One bash for a whole transcript, so that what a line exports is there in the next. */
export function openShell(cwd: string, env: Record<string, string>): TypedShell {
  const [outPath, errPath] = [join(cwd, ".typed.out"), join(cwd, ".typed.err")];
  const shell = spawn("bash", ["--norc", "--noprofile"], { cwd, env, stdio: ["pipe", "pipe", "inherit"] });
  const codes = createInterface({ input: shell.stdout })[Symbol.asyncIterator]();
  return {
    async type(line) {
      shell.stdin.write(`{ ${line}\n} >'${outPath}' 2>'${errPath}' </dev/null; echo $?\n`);
      const { value, done } = await codes.next();
      if (done) throw new Error(`the shell ended at: ${line}`);
      const bytes = readFileSync(outPath);
      return { code: Number(value), bytes, out: bytes.toString(), err: readFileSync(errPath, "utf8") };
    },
    async [Symbol.asyncDispose]() {
      const ended = new Promise((resolve) => shell.once("exit", resolve));
      shell.stdin.end();
      await ended;
    },
  };
}
