import type { GitResult } from "./run-git.ts";

export type GitFailureReason =
  | "REPOSITORY_NOT_FOUND"
  | "REPOSITORY_REFUSED"
  | "REPOSITORY_TOO_LARGE"
  | "CREDENTIALS_NEEDED"
  | "CREDENTIALS_REFUSED"
  | "REF_NOT_FOUND"
  | "COMMIT_NOT_FOUND"
  | "SOURCE_TIMEOUT"
  | "SOURCE_UNREACHABLE";

export interface GitFailure {
  reason: GitFailureReason;
  /** What, where, and what to do, in words for people; holds no credential. */
  message: string;
}

interface Where {
  repository: string;
  hasCredential: boolean;
  timeoutMs: number;
}

type Rule = [pattern: RegExp, explain: (where: Where, found: RegExpExecArray) => GitFailure];

/** What a git command that ended badly says about the repository, in words for people. */
export function explainGitFailure(result: GitResult, where: Where): GitFailure {
  const place = withoutUser(where.repository);
  const at = { ...where, repository: place };
  if (result.exceeded === "time") {
    const seconds = Math.round(where.timeoutMs / 1000);
    return failure("SOURCE_TIMEOUT", `${place} did not answer in full within ${seconds} s; try again later.`);
  }
  if (result.exceeded === "disk") {
    return failure("REPOSITORY_TOO_LARGE", `${place} sends more than may be fetched; let its server allow filters.`);
  }
  // An address may hold any of the words that are looked for.
  const stderr = result.stderr.replaceAll(where.repository, "<repository>").replaceAll(place, "<repository>");
  for (const [pattern, explain] of RULES) {
    const found = pattern.exec(stderr);
    if (found) return explain(at, found);
  }
  return failure("SOURCE_UNREACHABLE", `${place} could not be fetched: ${lastLine(stderr)}`);
}

/** A repository's address as it may be shown: without a user or password. */
export function withoutUser(repository: string): string {
  return repository.replace(/^([a-z+]+:\/\/)[^/@]*@/i, "$1");
}

function failure(reason: GitFailureReason, message: string): GitFailure {
  return { reason, message };
}

const RULES: Rule[] = [
  [
    /couldn't find remote ref (\S+)/,
    ({ repository }, found) => failure("REF_NOT_FOUND", `${found[1]} is not in ${repository}.`),
  ],
  [
    /not our ref|unadvertised object|did not send all necessary objects|no such remote ref/i,
    ({ repository }) => failure("COMMIT_NOT_FOUND", `The commit is not in ${repository}.`),
  ],
  [
    /Host key verification failed|IDENTIFICATION HAS CHANGED/,
    ({ repository }) =>
      failure(
        "SOURCE_UNREACHABLE",
        `The host of ${repository} shows another key than before; if that is right, remove its line from the known_hosts file beside the git credentials.`,
      ),
  ],
  [
    /returned error: 30\d|unable to update url base from redirection/,
    ({ repository }) =>
      failure("REPOSITORY_REFUSED", `${repository} redirects, which is not followed; use the address it leads to.`),
  ],
  [
    /Authentication failed|could not read (Username|Password)|unable to read askpass|Permission denied|returned error: 40[13]|Access denied|Identity file .* not accessible|Load key/i,
    explainCredentials,
  ],
  [
    /transport '(\S+)' not allowed/,
    ({ repository }, found) => failure("REPOSITORY_REFUSED", `${repository}: ${found[1]} is not allowed here.`),
  ],
  [
    /not found|does not exist|does not appear to be a git repository|returned error: (404|410)|no such file/i,
    ({ repository }) =>
      failure("REPOSITORY_NOT_FOUND", `There is no repository at ${repository}; correct the job's repository.`),
  ],
  [
    /certificate|SSL|TLS/,
    ({ repository }) =>
      failure("SOURCE_UNREACHABLE", `The TLS certificate of ${repository} is not one that this machine trusts.`),
  ],
  [
    /Could not resolve host|Name or service not known|Temporary failure in name resolution/i,
    ({ repository }) => failure("SOURCE_UNREACHABLE", `The host of ${repository} has no address; is its name right?`),
  ],
  [
    /Failed to connect|Couldn't connect|Connection (refused|timed out|reset|closed)|No route to host|unreachable/i,
    ({ repository }) => failure("SOURCE_UNREACHABLE", `The host of ${repository} does not answer; try again later.`),
  ],
  [
    /returned error: (429|5\d\d)/,
    ({ repository }, found) =>
      failure("SOURCE_UNREACHABLE", `The server of ${repository} answers ${found[1]}; try again later.`),
  ],
];

function explainCredentials({ repository, hasCredential }: Where): GitFailure {
  if (hasCredential) {
    return failure(
      "CREDENTIALS_REFUSED",
      `${repository} refused the credentials of its host; renew them in the file that RITMO_GIT_CREDENTIALS names.`,
    );
  }
  return failure(
    "CREDENTIALS_NEEDED",
    `${repository} needs credentials, or does not exist; add its host to the file that RITMO_GIT_CREDENTIALS names.`,
  );
}

function lastLine(stderr: string): string {
  const lines = stderr.split("\n").map((line) => line.trim());
  const line = lines.findLast((one) => one !== "") ?? "git says nothing";
  // biome-ignore lint/suspicious/noControlCharactersInRegex: a server's words may hold them, and they are shown
  return line.replace(/[\x00-\x1f\x7f]/g, " ").slice(0, 200);
}
