import { expect, test } from "vitest";
import { explainGitFailure } from "./explain-git-failure.ts";

const explain = (stderr: string, where = {}) =>
  explainGitFailure(
    { exitCode: 128, stdout: Buffer.alloc(0), stderr },
    {
      repository: "https://robot:t0ken@git.example/certificate-not-found",
      hasCredential: false,
      timeoutMs: 60_000,
      ...where,
    },
  );

// What git, ssh and the servers that people use say, as they say it.
test.each([
  ["fatal: couldn't find remote ref refs/heads/x", "REF_NOT_FOUND"],
  ["fatal: remote error: upload-pack: not our ref 0123", "COMMIT_NOT_FOUND"],
  ["error: Server does not allow request for unadvertised object 0123", "COMMIT_NOT_FOUND"],
  ["fatal: could not read Username for 'https://git.example': terminal prompts disabled", "CREDENTIALS_NEEDED"],
  ["fatal: Authentication failed for 'https://git.example/x/'", "CREDENTIALS_NEEDED"],
  ["remote: HTTP Basic: Access denied", "CREDENTIALS_NEEDED"],
  [
    "git@git.example: Permission denied (publickey).\nfatal: Could not read from remote repository.",
    "CREDENTIALS_NEEDED",
  ],
  ["remote: Repository not found.\nfatal: repository 'https://git.example/x/' not found", "REPOSITORY_NOT_FOUND"],
  ["ERROR: Repository not found.\nfatal: Could not read from remote repository.", "REPOSITORY_NOT_FOUND"],
  ["fatal: '/x' does not appear to be a git repository", "REPOSITORY_NOT_FOUND"],
  ["Host key verification failed.", "SOURCE_UNREACHABLE"],
  ["fatal: unable to access 'X/': The requested URL returned error: 301", "REPOSITORY_REFUSED"],
  ["fatal: transport 'ext' not allowed", "REPOSITORY_REFUSED"],
  ["fatal: unable to access 'X/': The requested URL returned error: 500", "SOURCE_UNREACHABLE"],
  ["fatal: unable to access 'X/': Could not resolve host: git.example", "SOURCE_UNREACHABLE"],
  ["something new", "SOURCE_UNREACHABLE"],
  ["", "SOURCE_UNREACHABLE"],
])("%j is %s", (stderr, reason) => {
  const failure = explain(stderr);
  expect(failure.reason).toBe(reason);
  expect(failure.message).not.toContain("t0ken");
});

test("with a credential for the host it was refused, without one it is needed", () => {
  expect(explain("fatal: Authentication failed", { hasCredential: true }).reason).toBe("CREDENTIALS_REFUSED");
});

test("words within the address itself say nothing", () => {
  const url = "https://robot:t0ken@git.example/certificate-not-found";
  const stderr = `fatal: unable to access '${url}/': Failed to connect to git.example port 443: Connection refused`;
  expect(explain(stderr).message).toContain("does not answer");
});

test("what nobody foresaw is passed on without the address's credentials", () => {
  const { message } = explain("fatal: odd thing at https://robot:t0ken@git.example/certificate-not-found/");
  expect(message).toContain("odd thing");
  expect(message).not.toContain("t0ken");
});

test("control characters of a server are not passed on", () => {
  expect(explain("remote: \x1b[31mred\x07").message).not.toMatch(/\p{C}/u);
});
