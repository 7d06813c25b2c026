import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { credentialFor, type GitCredential, readGitCredentials } from "./read-git-credentials.ts";
import { repositoryHost } from "./repository-host.ts";
import { writeSshConfig } from "./write-ssh-config.ts";

export interface GitHomeOptions {
  repository: string;
  /** `host user token` and `host ssh /path/to/key` lines, mode 0600. */
  credentialsFile?: string | undefined;
  /** Whether file:// addresses may be fetched. */
  allowFile: boolean;
  /** The address that the host's name was found to have; git connects there and nowhere else. */
  pinnedAddress?: string | undefined;
  /** Where the folder is made; the system's temporary folder when absent. */
  parentDir?: string;
}

export interface GitHome extends AsyncDisposable {
  /** A folder of its own (0700): configuration, askpass program, git's temporary files. Removed at the end. */
  dir: string;
  /** The whole environment of every git command on this repository. */
  env: Record<string, string>;
  /** Whether the file of credentials has something for this repository's host. */
  hasCredential: boolean;
}

// What the machine says about its own network and its authorities; nothing else of our environment reaches git.
const INHERITED =
  /^(PATH|(https?|no|all)_proxy|SSL_CERT_FILE|SSL_CERT_DIR|GIT_SSL_CAINFO|GIT_SSL_CAPATH|CURL_CA_BUNDLE|SystemRoot)$/i;

/**
 * Makes the home in which git runs: no configuration of the machine's or the user's, no hooks, no prompts, no
 * redirects, only the transports that are wanted, and credentials through an askpass program that reads them itself.
 * Throws GitCredentialsError when the file of credentials can't be used.
 */
export async function openGitHome(options: GitHomeOptions): Promise<GitHome> {
  const credentials = options.credentialsFile ? readGitCredentials(options.credentialsFile) : [];
  const dir = await mkdtemp(join(options.parentDir ?? tmpdir(), "ritmo-git-"));
  try {
    await writeFile(join(dir, "gitconfig"), gitConfig(options));
    await writeFile(join(dir, "ssh_config"), writeSshConfig(options, credentials, dir));
    await writeAskpass(join(dir, "askpass"), options.credentialsFile);
  } catch (reason) {
    await rm(dir, { recursive: true, force: true });
    throw reason;
  }
  return {
    dir,
    env: { ...inherited(process.env), ...ownEnvironment(dir, options.allowFile) },
    hasCredential: hasCredential(options.repository, credentials),
    [Symbol.asyncDispose]: () => rm(dir, { recursive: true, force: true, maxRetries: 3 }),
  };
}

function inherited(env: Record<string, string | undefined>): Record<string, string> {
  const kept = Object.entries(env).filter(([name, value]) => INHERITED.test(name) && value !== undefined);
  return Object.fromEntries(kept) as Record<string, string>;
}

function ownEnvironment(dir: string, allowFile: boolean): Record<string, string> {
  return {
    HOME: dir,
    XDG_CONFIG_HOME: dir,
    TMPDIR: dir,
    LC_ALL: "C",
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_CONFIG_GLOBAL: join(dir, "gitconfig"),
    GIT_ATTR_NOSYSTEM: "1",
    GIT_ALLOW_PROTOCOL: allowFile ? "https:http:ssh:file" : "https:http:ssh",
    GIT_ASKPASS: join(dir, "askpass"),
    GIT_TERMINAL_PROMPT: "0",
    GIT_SSH_COMMAND: `ssh -F ${shellWord(join(dir, "ssh_config"))}`,
    GIT_SSH_VARIANT: "ssh",
    GIT_LFS_SKIP_SMUDGE: "1",
    GIT_NO_REPLACE_OBJECTS: "1",
  };
}

function gitConfig({ repository, pinnedAddress }: GitHomeOptions): string {
  const host = repositoryHost(repository);
  const pin =
    pinnedAddress && host?.transport.startsWith("http")
      ? [`\tcurloptResolve = ${host.hostname}:${host.port}:${pinnedAddress}`]
      : [];
  return [
    "[core]",
    "\thooksPath = /dev/null",
    "\tfsmonitor = false",
    "[http]",
    // A redirect may lead to an address that would have been refused.
    "\tfollowRedirects = false",
    "\tlowSpeedLimit = 1",
    "\tlowSpeedTime = 30",
    ...pin,
    "[uploadpack]",
    "\tallowFilter = true",
    // Only reached where file:// is allowed at all; a bare repository of another user is the usual case there.
    "[safe]",
    "\tdirectory = *",
    "[gc]",
    "\tauto = 0",
    "[maintenance]",
    "\tauto = false",
    "[fetch]",
    "\trecurseSubmodules = false",
    "[advice]",
    "\tdetachedHead = false",
    "",
  ].join("\n");
}

async function writeAskpass(path: string, credentialsFile: string | undefined): Promise<void> {
  const program = [process.execPath, fileURLToPath(new URL("askpass.ts", import.meta.url))].map(shellWord).join(" ");
  const answer = credentialsFile ? `exec ${program} "$1" ${shellWord(credentialsFile)}` : "exit 1";
  await writeFile(path, `#!/bin/sh\n${answer}\n`);
  await chmod(path, 0o700);
}

function hasCredential(repository: string, credentials: readonly GitCredential[]): boolean {
  const host = repositoryHost(repository);
  if (!host || host.transport === "file") return false;
  return credentialFor(credentials, host.transport === "ssh" ? "ssh" : "https", host.host) !== undefined;
}

function shellWord(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
