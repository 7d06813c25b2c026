import { withoutUser } from "../../process/git/explain-git-failure.ts";
import { pinAddress } from "../../process/git/pin-address.ts";
import { GitCredentialsError } from "../../process/git/read-git-credentials.ts";
import { repositoryHost } from "../../process/git/repository-host.ts";
import { GitMissingError } from "../../process/git/run-git.ts";
import { checkRepository } from "../jobs/check-repository.ts";
import { fetchCommit, type WantedRef } from "./fetch-commit.ts";
import { type Bare, openBare } from "./open-bare.ts";
import { type CommitFacts, parseCommit } from "./parse-commit.ts";
import { readPipelineText } from "./read-pipeline-text.ts";
import { SourceProblem } from "./source-problem.ts";

export { SourceProblem };

export interface SourceRequest extends WantedRef {
  repository: string;
  /** The pipeline's file within the repository; absent: the job keeps the pipeline, and only the commit is read. */
  path?: string | undefined;
}

export interface SourceOptions {
  credentialsFile?: string | undefined;
  /** Whether file://, loopback and private addresses are allowed. */
  allowLocal: boolean;
  signal?: AbortSignal | undefined;
  timeoutMs?: number;
  /** The largest pack that may be fetched. */
  maxFetchBytes?: number;
}

export interface SourceAnswer extends CommitFacts {
  /** 40 or 64 hexadecimal digits. */
  commit: string;
  pipelineText?: string;
}

/**
 * Resolves a branch, tag or commit of a repository and reads one file there, in bounded children of system git and a
 * temporary bare repository that is removed after. Throws SourceProblem for what is wrong with the repository, the
 * reference, the credentials or the file; the signal's reason when that aborts.
 */
export async function readSource(request: SourceRequest, options: SourceOptions): Promise<SourceAnswer> {
  checkRequest(request, options.allowLocal);
  const pinnedAddress = options.allowLocal ? undefined : await publicAddress(request.repository);
  await using bare = await open(request.repository, options, pinnedAddress);
  const commit = await fetchCommit(bare, request);
  const object = await bare.git(["cat-file", "commit", commit]);
  const facts = parseCommit(object.stdout);
  if (request.path === undefined) return { commit, ...facts };
  return { commit, ...facts, pipelineText: await readPipelineText(bare, commit, request.path) };
}

async function open(repository: string, options: SourceOptions, pinnedAddress: string | undefined): Promise<Bare> {
  try {
    return await openBare({
      timeoutMs: 60_000,
      maxFetchBytes: 256 * 1024 * 1024,
      ...options,
      repository,
      pinnedAddress,
    });
  } catch (reason) {
    if (reason instanceof GitCredentialsError) throw new SourceProblem("CREDENTIALS_REFUSED", reason.message);
    if (reason instanceof GitMissingError) {
      throw new SourceProblem("SOURCE_UNREACHABLE", "The control plane's machine has no git; install it there.");
    }
    throw reason;
  }
}

function checkRequest({ repository, kind, name, path }: SourceRequest, allowLocal: boolean): void {
  const wrong = checkRepository(repository, { allowLocal });
  if (wrong) throw new SourceProblem("REPOSITORY_REFUSED", `The repository ${withoutUser(repository)} ${wrong}.`);
  // What git-check-ref-format(1) refuses, so that a name is never read as a pattern or a revision.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what is refused
  if (kind !== "commit" && (name === "" || /[\x00-\x20\x7f~^:?*[\\]|\.\.|@\{|^\/|\/$|\/\/|\.lock$/.test(name))) {
    throw new SourceProblem("REF_NOT_FOUND", `${JSON.stringify(name)} can't be the name of a ${kind}.`);
  }
  if (path !== undefined && (path === "" || path.startsWith("/") || /(^|\/)\.\.?(\/|$)|\0/.test(path))) {
    throw new SourceProblem("PIPELINE_NOT_FOUND", `${JSON.stringify(path)} is not a path within the repository.`);
  }
}

/** The address to connect to, where it is public; undefined leaves the name to a proxy, or to git to fail on. */
async function publicAddress(repository: string): Promise<string | undefined> {
  const host = repositoryHost(repository);
  if (!host || host.transport === "file") return undefined;
  const pinned = await pinAddress(host.hostname);
  if ("address" in pinned) return pinned.address;
  if ("unknown" in pinned) return undefined;
  const message = `${withoutUser(repository)} leads to ${pinned.refused}, an address of this machine or its network; RITMO_ALLOW_LOCAL_REPOSITORIES=true allows it.`;
  throw new SourceProblem("REPOSITORY_REFUSED", message);
}
