import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";

export interface GitLimits {
  /** Wall-clock time until the whole process group is killed. */
  timeoutMs: number;
  /** Standard output is cut there, and git ended. */
  maxOutputBytes: number;
  /** The largest file (a pack, say) that git may write. */
  maxFileBytes?: number;
  signal?: AbortSignal;
}

export interface GitResult {
  /** 0 is good; null when a signal ended it. */
  exitCode: number | null;
  stdout: Buffer;
  /** At most 64 KiB, for reading what went wrong. */
  stderr: string;
  /** Which limit ended it, where one did. */
  exceeded?: "time" | "output" | "disk";
}

/** The machine has no git that can be started. */
export class GitMissingError extends Error {
  override readonly name = "GitMissingError";
}

const MAX_STDERR_BYTES = 64 * 1024;
// What a shell or git answers when its child died of SIGXFSZ, the signal for files over the limit.
const SIGXFSZ_EXIT_CODE = 128 + 25;
const PRLIMIT = ["/usr/bin/prlimit", "/bin/prlimit"].find((path) => process.platform === "linux" && existsSync(path));

/**
 * Runs git in a process group of its own within limits, and ends the whole group whatever happens. Resolves also when
 * git fails; rejects with GitMissingError when git can't be started, or with the signal's reason when that aborts.
 */
export async function runGit(
  args: readonly string[],
  place: { cwd: string; env: Record<string, string> },
  limits: GitLimits,
): Promise<GitResult> {
  limits.signal?.throwIfAborted();
  const [program, ...programArgs] = limited(args, limits);
  const child = spawn(program as string, programArgs, { ...place, detached: true, stdio: ["ignore", "pipe", "pipe"] });
  const stop = () => endGroup(child);
  limits.signal?.addEventListener("abort", stop, { once: true });
  try {
    const result = await collect(child, limits);
    limits.signal?.throwIfAborted();
    return result;
  } finally {
    limits.signal?.removeEventListener("abort", stop);
  }
}

function limited(args: readonly string[], { maxFileBytes, timeoutMs }: GitLimits): string[] {
  if (!PRLIMIT || maxFileBytes === undefined) return ["git", ...args];
  const cpuSeconds = Math.ceil(timeoutMs / 1000);
  return [PRLIMIT, `--fsize=${maxFileBytes}`, "--core=0", `--cpu=${cpuSeconds}`, "--", "git", ...args];
}

function collect(child: ChildProcess, limits: GitLimits): Promise<GitResult> {
  return new Promise((resolve, reject) => {
    let exceeded: GitResult["exceeded"];
    const end = (why: GitResult["exceeded"]) => {
      exceeded ??= why;
      endGroup(child);
    };
    const timer = setTimeout(() => end("time"), limits.timeoutMs);
    const stdout = keep(child.stdout, limits.maxOutputBytes, () => end("output"));
    const stderr = keep(child.stderr, MAX_STDERR_BYTES, () => {});
    child.once("error", (reason) => {
      clearTimeout(timer);
      reject(new GitMissingError(`git can't be started: ${reason.message}`, { cause: reason }));
    });
    // What git left behind (ssh, a remote helper that holds the pipes) goes with it.
    child.once("exit", () => endGroup(child));
    child.once("close", (exitCode, signal) => {
      clearTimeout(timer);
      const text = stderr().toString("utf8");
      // What prlimit says of a program that is not there.
      if (/^prlimit: failed to execute/m.test(text)) return reject(new GitMissingError("git can't be started"));
      if (signal === "SIGXFSZ" || exitCode === SIGXFSZ_EXIT_CODE || /File too large|died of signal 25/.test(text)) {
        exceeded ??= "disk";
      }
      resolve({ exitCode, stdout: stdout(), stderr: text, ...(exceeded && { exceeded }) });
    });
  });
}

/** Keeps the first bytes of a stream and lets the rest go by; tells once when there is a rest. */
function keep(stream: ChildProcess["stdout"], maxBytes: number, onMore: () => void): () => Buffer {
  const chunks: Buffer[] = [];
  let kept = 0;
  let told = false;
  stream?.on("data", (chunk: Buffer) => {
    const room = maxBytes - kept;
    if (room > 0) chunks.push(chunk.subarray(0, room));
    kept += Math.min(room, chunk.length);
    if (chunk.length <= room || told) return;
    told = true;
    onMore();
  });
  return () => Buffer.concat(chunks);
}

function endGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch {
    // Nobody of the group is left.
  }
}
