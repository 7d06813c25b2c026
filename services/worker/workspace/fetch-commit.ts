import type { Source } from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import { explainGitFailure, type GitFailure } from "../../process/git/explain-git-failure.ts";
import type { GitHome } from "../../process/git/open-git-home.ts";
import { type GitResult, runGit } from "../../process/git/run-git.ts";
import { BrokenStep } from "../executor/executor.ts";
import type { Mirror } from "./mirrors.ts";

export interface GitParts {
  home: GitHome;
  /** In the environment of git, so that what a killed worker leaves is found by it. */
  leaseId: string;
  signal: AbortSignal;
  timeoutMs: number;
}

const FETCH = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--update-shallow"];
const TO = "--end-of-options";

/**
 * Brings a commit into the mirror, once for all steps: by its id where the server hands that out, else by its ref,
 * else with every branch and tag. Throws BrokenStep when it can't be had.
 */
export async function fetchCommit(git: GitParts, mirror: Mirror, source: Source): Promise<void> {
  const { repository, commit, ref } = source;
  const kept = `refs/ritmo/commits/${commit}`;
  const run = (args: string[]) => runInMirror(git, mirror, args);
  const has = async (name: string) =>
    (await run(["rev-parse", "--quiet", "--verify", `${name}^{commit}`])).exitCode === 0;
  await mirror.alone(async () => {
    const isNew = (await run(["rev-parse", "--git-dir"])).exitCode !== 0;
    if (isNew) need(git, repository, await run(["init", "--quiet", "--bare", "--template=", "."]));
    // The ref is written when everything is there, so it is the proof that nothing need be fetched.
    if (await has(kept)) return;
    need(git, repository, await run(["config", "remote.origin.url", repository]));
    const byId = await run([...FETCH, "--depth=1", TO, "origin", `+${commit}:${kept}`]);
    if (byId.exitCode === 0) return;
    if (explain(git, repository, byId).reason !== "COMMIT_NOT_FOUND") need(git, repository, byId);
    if (ref) {
      const byRef = await run([...FETCH, TO, "origin", `+${ref}:refs/ritmo/refs/${ref}`]);
      if (byRef.exitCode === 0 && (await has(commit))) return keep();
    }
    const everything = ["+refs/heads/*:refs/ritmo/heads/*", "+refs/tags/*:refs/ritmo/tags/*"];
    need(git, repository, await run([...FETCH, TO, "origin", ...everything]));
    if (await has(commit)) return keep();
    throw new BrokenStep("COMMIT_NOT_FOUND", `${commit} is not in ${repository} any more`, { authorFault: true });
  }, git.signal);

  async function keep(): Promise<void> {
    need(git, repository, await run(["update-ref", kept, commit]));
  }
}

const MAX_OUTPUT_BYTES = 1024 * 1024;

function runInMirror(git: GitParts, mirror: Mirror, args: string[]): Promise<GitResult> {
  return gitIn(git, mirror.gitDir, { GIT_DIR: mirror.gitDir }, args);
}

/** Runs git in a folder, within the time that is left. */
export function gitIn(git: GitParts, cwd: string, env: Record<string, string>, args: string[]): Promise<GitResult> {
  const { home, signal, timeoutMs, leaseId } = git;
  return runGit(
    args,
    { cwd, env: { ...home.env, ...env, RITMO_LEASE_ID: leaseId } },
    { timeoutMs, maxOutputBytes: MAX_OUTPUT_BYTES, signal },
  );
}

// What another server or an operator has to mend is ours; all else is the author's.
const OURS = new Set(["CREDENTIALS_NEEDED", "CREDENTIALS_REFUSED", "SOURCE_TIMEOUT", "SOURCE_UNREACHABLE"]);

/** Throws BrokenStep with what git's failure means, if it failed. */
export function need(git: GitParts, repository: string, result: GitResult): void {
  if (result.exitCode === 0) return;
  if (/No space left on device/.test(result.stderr)) throw new BrokenStep("DISK_FULL", "the checkout filled the disk");
  const { reason, message } = explain(git, repository, result);
  throw new BrokenStep(reason, message, { authorFault: !OURS.has(reason) });
}

function explain({ home, timeoutMs }: GitParts, repository: string, result: GitResult): GitFailure {
  return explainGitFailure(result, { repository, hasCredential: home.hasCredential, timeoutMs });
}
