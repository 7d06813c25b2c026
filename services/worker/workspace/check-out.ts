import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Source } from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import { withoutUser } from "../../process/git/explain-git-failure.ts";
import { type GitHome, openGitHome } from "../../process/git/open-git-home.ts";
import { pinAddress } from "../../process/git/pin-address.ts";
import { GitCredentialsError } from "../../process/git/read-git-credentials.ts";
import { repositoryHost } from "../../process/git/repository-host.ts";
import { BrokenStep } from "../executor/executor.ts";
import { fetchCommit, type GitParts, gitIn, need } from "./fetch-commit.ts";
import type { Mirror, Mirrors } from "./mirrors.ts";

export interface CheckoutParts {
  mirrors: Mirrors;
  gitCredentials: string | undefined;
  allowLocalRepositories: boolean;
}

export interface Checkout {
  leaseId: string;
  source: Source;
  workspace: string;
  /** For git's own temporary files. */
  tmp: string;
  signal: AbortSignal;
  tell(line: string): void;
}

const CHECKOUT_WITHIN_MS = 3600_000;
const COMMIT = /^([0-9a-f]{40}|[0-9a-f]{64})$/;

/**
 * Checks a commit out into the workspace: from the mirror, whose objects the workspace borrows, so that a second step
 * of the same commit costs no network and no copy. No credential is left behind in it. Throws BrokenStep.
 */
export async function checkOut(parts: CheckoutParts, checkout: Checkout): Promise<void> {
  const { source, signal, tell, leaseId } = checkout;
  const startedAtMs = performance.now();
  if (!COMMIT.test(source.commit))
    throw new BrokenStep("COMMIT_NOT_FOUND", `${source.commit} is not a commit's id`, AUTHOR);
  await using home = await openHome(parts, checkout);
  const git: GitParts = { home, leaseId, signal, timeoutMs: CHECKOUT_WITHIN_MS };
  await fromMirror(parts.mirrors, git, checkout);
  if (source.submodules) await updateSubmodules(git, checkout);
  const shown = withoutUser(source.repository);
  tell(`checked out ${source.commit} of ${shown} in ${Math.round(performance.now() - startedAtMs)} ms`);
}

async function fromMirror(mirrors: Mirrors, git: GitParts, checkout: Checkout): Promise<void> {
  for (let again = false; ; again = true) {
    const mirror = await mirrors.of(checkout.source.repository);
    try {
      await fetchCommit(git, mirror, checkout.source);
      return await fill(git, mirror, checkout);
    } catch (reason) {
      // What is neither the repository's fault nor the network's may be the mirror's: it is made anew, once.
      const unexplained = reason instanceof BrokenStep && /could not be fetched/.test(reason.message);
      if (again || !unexplained) throw reason;
      checkout.tell(`the mirror of the repository is damaged and is made anew: ${reason.message}`);
      mirror.condemn();
    }
  }
}

async function openHome(parts: CheckoutParts, { source, tmp }: Checkout): Promise<GitHome> {
  const { repository } = source;
  const { gitCredentials: credentialsFile, allowLocalRepositories: allowLocal } = parts;
  const host = repositoryHost(repository);
  if (!host || /^[a-z+]+:\/\/[^/@]*:[^/@]*@/i.test(repository)) {
    throw new BrokenStep("REPOSITORY_REFUSED", `${withoutUser(repository)} is not an address to fetch from`, AUTHOR);
  }
  const pinnedAddress = allowLocal ? undefined : await publicAddress(repository, host);
  try {
    return await openGitHome({ repository, credentialsFile, allowFile: allowLocal, pinnedAddress, parentDir: tmp });
  } catch (reason) {
    if (reason instanceof GitCredentialsError) throw new BrokenStep("CREDENTIALS_REFUSED", reason.message);
    throw reason;
  }
}

const AUTHOR = { authorFault: true };

async function publicAddress(
  repository: string,
  host: NonNullable<ReturnType<typeof repositoryHost>>,
): Promise<string> {
  const shown = withoutUser(repository);
  const local = `${shown} is at a local address, which this worker refuses; RITMO_ALLOW_LOCAL_REPOSITORIES allows it`;
  if (host.transport === "file") throw new BrokenStep("REPOSITORY_REFUSED", local, AUTHOR);
  const pinned = await pinAddress(host.hostname);
  if ("address" in pinned) return pinned.address;
  if ("refused" in pinned) throw new BrokenStep("REPOSITORY_REFUSED", local, AUTHOR);
  throw new BrokenStep("SOURCE_UNREACHABLE", `the host of ${shown} has no address`);
}

/** Makes the workspace a repository that borrows the mirror's objects, and writes the commit's files. */
async function fill(git: GitParts, mirror: Mirror, { source, workspace }: Checkout): Promise<void> {
  const run = async (args: string[]) => need(git, source.repository, await gitIn(git, workspace, {}, args));
  const own = join(workspace, ".git");
  const format = source.commit.length === 64 ? ["--object-format=sha256"] : [];
  await run(["init", "--quiet", "--template=", "--initial-branch=ritmo", ...format, "."]);
  await mkdir(join(own, "objects", "info"), { recursive: true });
  await writeFile(join(own, "objects", "info", "alternates"), `${join(mirror.gitDir, "objects")}\n`);
  await copyFile(join(mirror.gitDir, "shallow"), join(own, "shallow")).catch(() => {});
  await run(["config", "remote.origin.url", source.repository]);
  await run(["checkout", "--quiet", "--force", "--detach", source.commit]);
}

async function updateSubmodules(git: GitParts, { source, workspace, tell }: Checkout): Promise<void> {
  const args = ["submodule", "--quiet", "update", "--init", "--recursive", "--force"];
  const shallow = await gitIn(git, workspace, {}, [...args, "--depth=1"]);
  // A server that hands out no commit by its id can't be asked for one without its history.
  if (shallow.exitCode !== 0) need(git, source.repository, await gitIn(git, workspace, {}, args));
  tell("checked out the submodules");
}
