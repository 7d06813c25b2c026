import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { HAS_SSHD, startGitHttpServer, startGitSshServer } from "../../testing/git-servers.ts";
import { testRepository } from "../../testing/test-repository.ts";
import { answerAskpass } from "./answer-askpass.ts";
import { openGitHome } from "./open-git-home.ts";
import { GitCredentialsError, readGitCredentials } from "./read-git-credentials.ts";
import { type GitLimits, runGit } from "./run-git.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "ritmo-git-test-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function credentials(text: string, mode = 0o600): string {
  const path = join(dir, "credentials");
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
}

const LIMITS: GitLimits = { timeoutMs: 20_000, maxOutputBytes: 1024 * 1024 };

describe("the file of credentials", () => {
  test("has a line for each host, comments and empty lines", () => {
    const path = credentials(
      "# ours\n\nGit.Example robot t0ken\r\ngit.example:8443\trobot  other\ngit.example ssh /keys/id\n",
    );
    expect(readGitCredentials(path)).toEqual([
      { host: "git.example", kind: "https", user: "robot", token: "t0ken" },
      { host: "git.example:8443", kind: "https", user: "robot", token: "other" },
      { host: "git.example", kind: "ssh", keyFile: "/keys/id" },
    ]);
  });

  test.each([
    ["git.example t0ken", "credentials:1: a line is"],
    ["# x\ngit.example robot t0ken more", "credentials:2: a line is"],
    ["https://git.example robot t0ken", "credentials:1: a line begins with a host"],
    ["git.example ssh keys/id", "credentials:1: the path of the key is not absolute"],
  ])("%j is refused by its line, and what stands there is not repeated", (text, message) => {
    const read = () => readGitCredentials(credentials(text));
    expect(read).toThrow(GitCredentialsError);
    expect(read).toThrow(message);
    expect(read).not.toThrow(/t0ken/);
  });

  test.each([0o644, 0o640, 0o604, 0o660])("of mode %o is refused with what to do", (mode) => {
    expect(() => readGitCredentials(credentials("git.example robot t0ken", mode))).toThrow(/chmod 600/);
  });

  test("that is not there is named", () => {
    expect(() => readGitCredentials(join(dir, "none"))).toThrow(/none can't be read \(ENOENT\)/);
  });
});

describe("askpass", () => {
  test.each([
    ["Username for 'https://git.example': ", "robot"],
    ["Password for 'https://robot@git.example': ", "t0ken"],
    ["Password for 'https://robot@git.example:8443': ", "other"],
    ["Password for 'https://robot@evil.example': ", undefined],
    ["Password for 'https://git.example@evil.example': ", undefined],
    ["Password for 'https://git.example.evil.example': ", undefined],
    ["Password for 'https://robot@git.example:9': ", undefined],
    ["Enter passphrase for key '/keys/id': ", undefined],
    ["", undefined],
  ])("answers %j with %j", (prompt, answer) => {
    const path = credentials("git.example robot t0ken\ngit.example:8443 robot other\n");
    expect(answerAskpass(prompt, path)).toBe(answer);
  });
});

describe("git's home", () => {
  test("holds no credential, is its owner's alone, and is gone after", async () => {
    const credentialsFile = credentials("git.example robot t0ken\n");
    const home = await openGitHome({
      repository: "https://git.example/x",
      credentialsFile,
      allowFile: false,
      parentDir: dir,
    });
    expect(home.hasCredential).toBe(true);
    expect(statSync(home.dir).mode & 0o777).toBe(0o700);
    const files = readdirSync(home.dir).map((name) => readFileSync(join(home.dir, name), "utf8"));
    expect(`${files.join()}${JSON.stringify(home.env)}`).not.toContain("t0ken");
    await home[Symbol.asyncDispose]();
    expect(readdirSync(dir)).toEqual(["credentials"]);
  });

  test("knows nothing of our environment but the network's and the path", async () => {
    const kept = { ...process.env };
    Object.assign(process.env, {
      RITMO_TOKEN: "x",
      GIT_DIR: "/x",
      SSH_AUTH_SOCK: "/x",
      https_proxy: "http://proxy:3128",
    });
    try {
      await using home = await openGitHome({ repository: "https://git.example/x", allowFile: false });
      expect(home.env).toMatchObject({ https_proxy: "http://proxy:3128", GIT_TERMINAL_PROMPT: "0" });
      for (const name of ["RITMO_TOKEN", "GIT_DIR", "SSH_AUTH_SOCK"]) expect(home.env).not.toHaveProperty(name);
    } finally {
      process.env = kept;
    }
  });

  test("allows files only where it is told to", async () => {
    using repository = testRepository();
    repository.commit("main", { a: "a" });
    for (const allowFile of [true, false]) {
      await using home = await openGitHome({ repository: repository.url, allowFile });
      const { exitCode, stderr } = await runGit(["ls-remote", repository.url], { cwd: dir, env: home.env }, LIMITS);
      expect(exitCode === 0).toBe(allowFile);
      if (!allowFile) expect(stderr).toContain("transport 'file' not allowed");
    }
  });

  test("has no transport that runs programs", async () => {
    await using home = await openGitHome({ repository: "https://git.example/x", allowFile: true });
    const marker = join(dir, "ran");
    const { exitCode } = await runGit(["ls-remote", `ext::touch ${marker}`], { cwd: dir, env: home.env }, LIMITS);
    expect(exitCode).not.toBe(0);
    expect(readdirSync(dir)).toEqual([]);
  });

  test("connects to the pinned address, whatever the name says", async () => {
    using repository = testRepository();
    repository.commit("main", { a: "a" });
    await using server = await startGitHttpServer({ root: repository.root });
    const url = `http://pinned.invalid:${server.host.split(":")[1]}/project.git`;
    await using home = await openGitHome({ repository: url, allowFile: false, pinnedAddress: "127.0.0.1" });
    const pinned = await runGit(["ls-remote", url], { cwd: dir, env: home.env }, LIMITS);
    expect(pinned.stdout.toString()).toContain("refs/heads/main");
    await using without = await openGitHome({ repository: url, allowFile: false });
    expect((await runGit(["ls-remote", url], { cwd: dir, env: without.env }, LIMITS)).stderr).toContain(
      "not resolve host",
    );
  });

  test.skipIf(!HAS_SSHD)(
    `connects to the pinned address over ssh${HAS_SSHD ? "" : " (skipped: this machine has no sshd)"}`,
    async () => {
      using repository = testRepository();
      repository.commit("main", { a: "a" });
      mkdirSync(join(dir, "sshd"));
      await using server = await startGitSshServer(join(dir, "sshd"));
      const url = `${server.url.replace("127.0.0.1", "pinned.invalid")}${repository.path}`;
      const credentialsFile = credentials(`pinned.invalid:${server.host.split(":")[1]} ssh ${server.keyFile}\n`);
      await using home = await openGitHome({
        repository: url,
        credentialsFile,
        allowFile: false,
        pinnedAddress: "127.0.0.1",
      });
      const { stdout, stderr } = await runGit(["ls-remote", url], { cwd: dir, env: home.env }, LIMITS);
      expect(stdout.toString(), stderr).toContain("refs/heads/main");
      expect(readFileSync(`${credentialsFile}.known_hosts`, "utf8")).toContain("pinned.invalid");
    },
  );
});
