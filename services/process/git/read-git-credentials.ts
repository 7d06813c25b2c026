import { readFileSync, statSync } from "node:fs";
import { isAbsolute } from "node:path";

/** What to show to one host: a user and token over https, or a private key over ssh. */
export type GitCredential =
  | { host: string; kind: "https"; user: string; token: string }
  | { host: string; kind: "ssh"; keyFile: string };

/** The file of credentials can't be used. Its message names the file and line, and never what stands in it. */
export class GitCredentialsError extends Error {
  override readonly name = "GitCredentialsError";
}

/**
 * Reads a file of credentials: one `host user token` or `host ssh /path/to/key` a line, `#` begins a comment. The
 * host is written as in the address, with its port where the address has one. Throws GitCredentialsError when the
 * file is open to others than its owner, can't be read, or has a line that is neither.
 */
export function readGitCredentials(path: string): GitCredential[] {
  return parse(path, readOwn(path));
}

/** The credential for exactly this host (`git.example`, `git.example:8443`) over this transport, or undefined. */
export function credentialFor(
  credentials: readonly GitCredential[],
  kind: GitCredential["kind"],
  host: string,
): GitCredential | undefined {
  return credentials.find((one) => one.kind === kind && one.host === host.toLowerCase());
}

function readOwn(path: string): string {
  let text: string;
  let mode: number;
  try {
    mode = statSync(path).mode & 0o777;
    text = readFileSync(path, "utf8");
  } catch (reason) {
    const code = (reason as NodeJS.ErrnoException).code ?? "it is not a file";
    throw new GitCredentialsError(`the git credentials in ${path} can't be read (${code})`);
  }
  // Windows has no such bits; what it reports is made up.
  if (process.platform !== "win32" && (mode & 0o077) !== 0) {
    throw new GitCredentialsError(
      `the git credentials in ${path} may be read by others (mode 0${mode.toString(8)}); run: chmod 600 ${path}`,
    );
  }
  return text;
}

function parse(path: string, text: string): GitCredential[] {
  const lines = text.split(/\r?\n/).map((line, index) => ({ line, place: `${path}:${index + 1}` }));
  return lines.filter(({ line }) => !/^\s*(#|$)/.test(line)).map(({ line, place }) => parseLine(line, place));
}

function parseLine(line: string, place: string): GitCredential {
  const [host, second, third, ...rest] = line.trim().split(/\s+/);
  if (!host || !second || !third || rest.length > 0) {
    throw new GitCredentialsError(`${place}: a line is \`host user token\` or \`host ssh /path/to/key\``);
  }
  if (/[/@]/.test(host)) {
    throw new GitCredentialsError(`${place}: a line begins with a host, such as git.example or git.example:8443`);
  }
  if (second !== "ssh") return { host: host.toLowerCase(), kind: "https", user: second, token: third };
  if (!isAbsolute(third)) throw new GitCredentialsError(`${place}: the path of the key is not absolute`);
  return { host: host.toLowerCase(), kind: "ssh", keyFile: third };
}
