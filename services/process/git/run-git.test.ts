import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { GitMissingError, runGit } from "./run-git.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "ritmo-run-git-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** Puts a program in git's place. */
function actAsGit(script: string): { cwd: string; env: Record<string, string> } {
  writeFileSync(join(dir, "git"), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  return { cwd: dir, env: { PATH: [dir, process.env["PATH"]].join(delimiter) } };
}

const LIMITS = { timeoutMs: 20_000, maxOutputBytes: 1000 };
const isAlive = (pid: number) => {
  try {
    // A killed child that nobody has waited for yet is a zombie, and no longer alive.
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
};

test("answers what git prints, and how it ends", async () => {
  const result = await runGit(["x y", "z"], actAsGit('printf "%s|" "$@"; echo oops >&2; exit 3'), LIMITS);
  expect(result).toEqual({ exitCode: 3, stdout: Buffer.from("x y|z|"), stderr: "oops\n" });
});

test("ends git and all its children when the time is over", async () => {
  const place = actAsGit("sleep 600 & echo $! > child; wait");
  const result = await runGit([], place, { ...LIMITS, timeoutMs: 300 });
  expect(result).toMatchObject({ exitCode: null, exceeded: "time" });
  const child = Number(readFileSync(join(dir, "child"), "utf8"));
  await vi.waitFor(() => expect(isAlive(child)).toBe(false));
});

test("ends what git leaves behind, also when it holds the pipes", async () => {
  const place = actAsGit("sleep 600 & echo $! > child; echo done");
  expect(await runGit([], place, LIMITS)).toMatchObject({ exitCode: 0, stdout: Buffer.from("done\n") });
  const child = Number(readFileSync(join(dir, "child"), "utf8"));
  await vi.waitFor(() => expect(isAlive(child)).toBe(false));
});

test("cuts the output and ends git when it says too much", async () => {
  const result = await runGit([], actAsGit("exec yes"), LIMITS);
  expect(result.exceeded).toBe("output");
  expect(result.stdout).toHaveLength(1000);
  expect(await runGit([], actAsGit("printf %01000d 0"), LIMITS)).not.toHaveProperty("exceeded");
});

test.runIf(existsSync("/usr/bin/prlimit"))("ends git when it writes too large a file", async () => {
  const place = actAsGit("head -c 2000000 /dev/zero > file");
  expect((await runGit([], place, { ...LIMITS, maxFileBytes: 1_000_000 })).exceeded).toBe("disk");
  expect(await runGit([], place, { ...LIMITS, maxFileBytes: 3_000_000 })).not.toHaveProperty("exceeded");
});

test("ends git when the signal aborts", async () => {
  const over = new AbortController();
  const running = runGit([], actAsGit("echo $$ > pid; exec sleep 600"), { ...LIMITS, signal: over.signal });
  const pid = await vi.waitFor(() => Number(readFileSync(join(dir, "pid"), "utf8") || Number.NaN));
  over.abort(new Error("stopping"));
  await expect(running).rejects.toThrow("stopping");
  await vi.waitFor(() => expect(isAlive(pid)).toBe(false));
});

test.each([{}, { maxFileBytes: 1_000_000 }])("says when git is not there, with limits %j", async (more) => {
  const place = { cwd: dir, env: { PATH: dir } };
  await expect(runGit([], place, { ...LIMITS, ...more })).rejects.toThrow(GitMissingError);
});
