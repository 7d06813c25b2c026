import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { explainGitFailure, type GitFailure } from "../../process/git/explain-git-failure.ts";
import { openGitHome } from "../../process/git/open-git-home.ts";
import { type GitResult, runGit } from "../../process/git/run-git.ts";
import { SourceProblem } from "./source-problem.ts";

export interface BareOptions {
  repository: string;
  credentialsFile?: string | undefined;
  allowLocal: boolean;
  pinnedAddress?: string | undefined;
  timeoutMs: number;
  maxFetchBytes: number;
  signal?: AbortSignal | undefined;
}

/** A temporary bare repository whose `origin` is the repository; removed when disposed. */
export interface Bare extends AsyncDisposable {
  /** Runs git there, within what is left of the time. Never throws for git's failures. */
  git(args: readonly string[], maxOutputBytes?: number): Promise<GitResult>;
  /** What a result that is not good means, in words for people. */
  explain(result: GitResult): GitFailure;
  /** Runs git and throws the SourceProblem when it fails. */
  need(args: readonly string[], maxOutputBytes?: number): Promise<GitResult>;
}

const MAX_OUTPUT_BYTES = 1024 * 1024;

/** Makes the temporary bare repository. Throws GitCredentialsError for a file of credentials that can't be used. */
export async function openBare(options: BareOptions): Promise<Bare> {
  const endsAtMs = performance.now() + options.timeoutMs;
  const { repository, credentialsFile, allowLocal, pinnedAddress, timeoutMs } = options;
  const home = await openGitHome({ repository, credentialsFile, allowFile: allowLocal, pinnedAddress });
  const cwd = join(home.dir, "bare");
  await mkdir(cwd);
  const git = (args: readonly string[], maxOutputBytes = MAX_OUTPUT_BYTES) =>
    runGit(
      args,
      { cwd, env: { ...home.env, GIT_DIR: cwd, GIT_LITERAL_PATHSPECS: "1" } },
      {
        timeoutMs: Math.max(1, endsAtMs - performance.now()),
        maxOutputBytes,
        maxFileBytes: options.maxFetchBytes,
        ...(options.signal && { signal: options.signal }),
      },
    );
  const explain = (result: GitResult) =>
    explainGitFailure(result, { repository, hasCredential: home.hasCredential, timeoutMs });
  const need = async (args: readonly string[], maxOutputBytes?: number) => {
    const result = await git(args, maxOutputBytes);
    if (result.exitCode === 0) return result;
    const { reason, message } = explain(result);
    throw new SourceProblem(reason, message);
  };
  try {
    await need(["init", "--quiet", "--bare", "--template=", "."]);
    await need(["config", "remote.origin.url", repository]);
  } catch (reason) {
    await home[Symbol.asyncDispose]();
    throw reason;
  }
  return { git, explain, need, [Symbol.asyncDispose]: () => home[Symbol.asyncDispose]() };
}
