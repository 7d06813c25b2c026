import { makeSample, SampleError } from "./make-sample.ts";

const USAGE =
  "Usage: ritmo sample PATH\n\nMakes a small git repository at PATH to try Ritmo with: main passes, broken fails, gpu waits.\n";

function main(args: string[]): number {
  const [path, ...rest] = args;
  if (path === "--help" || path === "-h") {
    process.stdout.write(USAGE);
    return 0;
  }
  if (path === undefined || path.startsWith("-") || rest.length > 0) {
    process.stderr.write(USAGE);
    return 2;
  }
  try {
    process.stdout.write(`${makeSample(path)}\n`);
    return 0;
  } catch (reason) {
    process.stderr.write(`${explain(reason)}\n`);
    return 1;
  }
}

function explain(reason: unknown): string {
  if (reason instanceof SampleError) return reason.message;
  const { code, path } = reason as NodeJS.ErrnoException;
  if (code === undefined) throw reason;
  return `The sample can't be made at ${path}: ${code}. Name a path that you may write to.`;
}

process.exitCode = main(process.argv.slice(2));
