import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { SourceSchema } from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import { expect, test } from "vitest";
import { HAS_SSHD, startGitHttpServer, startGitSshServer } from "../../testing/git-servers.ts";
import { testRepository } from "../../testing/test-repository.ts";
import { workFolder } from "../testing/start-worker.ts";
import { checkOut } from "./check-out.ts";
import { type Mirrors, openMirrors } from "./mirrors.ts";

interface Place {
  mirrors: Mirrors;
  root: string;
  told: string[];
}

function place(root: string): Place {
  return { mirrors: openMirrors(root), root, told: [] };
}

let count = 0;
async function into(
  at: Place,
  source: { repository: string; commit: string; ref?: string; submodules?: boolean },
  options: { credentials?: string; allowLocal?: boolean; signal?: AbortSignal } = {},
): Promise<string> {
  const workspace = join(at.root, `workspace-${count++}`);
  const tmp = `${workspace}-tmp`;
  mkdirSync(workspace);
  mkdirSync(tmp);
  await checkOut(
    {
      mirrors: at.mirrors,
      gitCredentials: options.credentials,
      allowLocalRepositories: options.allowLocal ?? true,
    },
    {
      leaseId: "lease",
      source: create(SourceSchema, source),
      workspace,
      tmp,
      signal: options.signal ?? new AbortController().signal,
      tell: (line) => at.told.push(line),
    },
  );
  expect(readdirSync(tmp)).toEqual([]);
  return workspace;
}

const git = (workspace: string, ...args: string[]) =>
  execFileSync("git", ["-c", "safe.directory=*", ...args], { cwd: workspace, encoding: "utf8" }).trim();

test("the exact commit is there, clean and detached, also when the branch has moved on", async () => {
  using folder = workFolder();
  using repo = testRepository();
  const old = repo.commit("main", { "a.txt": "old", "dir/b.sh": "#!/bin/sh\n" });
  const now = repo.commit("main", { "a.txt": "new" });
  const at = place(folder.path);
  const first = await into(at, { repository: repo.url, commit: old, ref: "refs/heads/main" });
  expect(readFileSync(join(first, "a.txt"), "utf8")).toBe("old");
  expect(git(first, "rev-parse", "HEAD")).toBe(old);
  expect(git(first, "status", "--porcelain")).toBe("");
  expect(git(first, "log", "--oneline").split("\n")).toHaveLength(1);
  const second = await into(at, { repository: repo.url, commit: now, ref: "refs/heads/main" });
  expect(readFileSync(join(second, "a.txt"), "utf8")).toBe("new");
  expect(at.told[0]).toMatch(new RegExp(`^checked out ${old} of file://`));
});

test("a commit that is in the mirror costs no network, and several steps check out at once", async () => {
  using folder = workFolder();
  using repo = testRepository();
  const commit = repo.commit("main", { "a.txt": "text" });
  await using server = await startGitHttpServer({ root: repo.root });
  const at = place(folder.path);
  const source = { repository: `${server.url}/project.git`, commit, ref: "refs/heads/main" };
  const workspaces = await Promise.all(Array.from({ length: 6 }, () => into(at, source)));
  for (const workspace of workspaces) expect(readFileSync(join(workspace, "a.txt"), "utf8")).toBe("text");
  const asked = server.requests.length;
  expect(server.requests.filter((line) => line.endsWith("info/refs"))).toHaveLength(1);
  await into(at, source);
  expect(server.requests).toHaveLength(asked);
  // What one step does to its repository is not another's.
  writeFileSync(join(workspaces[0] as string, "a.txt"), "changed");
  git(workspaces[0] as string, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qam", "mine");
  git(workspaces[0] as string, "gc", "--quiet", "--prune=now");
  expect(git(workspaces[1] as string, "status", "--porcelain")).toBe("");
  expect(git(workspaces[1] as string, "fsck", "--connectivity-only")).toBe("");
});

test("a server that hands out no commit by its id is asked for the branch, and then for everything", async () => {
  using folder = workFolder();
  using repo = testRepository();
  const old = repo.commit("main", { "a.txt": "old" });
  const side = repo.commit("side", { "b.txt": "side" });
  repo.commit("main", { "a.txt": "new" });
  repo.git("config", "uploadpack.allowAnySHA1InWant", "false");
  await using server = await startGitHttpServer({
    root: repo.root,
    // Protocol 2 hands out every commit; this server is one that knows only the first.
    instead: (request) => {
      delete request.headers["git-protocol"];
      return false;
    },
  });
  const repository = `${server.url}/project.git`;
  const at = place(folder.path);
  const byRef = await into(at, { repository, commit: old, ref: "refs/heads/main" });
  expect(readFileSync(join(byRef, "a.txt"), "utf8")).toBe("old");
  const elsewhere = await into(at, { repository, commit: side, ref: "refs/heads/main" });
  expect(readFileSync(join(elsewhere, "b.txt"), "utf8")).toBe("side");
});

test.each([
  ["a commit that isn't there", { commit: "1".repeat(40) }, "COMMIT_NOT_FOUND", true],
  ["what is no commit's id", { commit: "main" }, "COMMIT_NOT_FOUND", true],
  ["a repository that isn't there", { repository: "file:///nowhere/at/all.git" }, "REPOSITORY_NOT_FOUND", true],
  ["a program for a transport", { repository: "ext::sh -c id" }, "REPOSITORY_REFUSED", true],
  ["an option for an address", { repository: "--upload-pack=touch /tmp/x" }, "REPOSITORY_REFUSED", true],
  ["a password in the address", { repository: "https://user:secret@127.0.0.1/x.git" }, "REPOSITORY_REFUSED", true],
  ["a host that doesn't answer", { repository: "http://127.0.0.1:1/x.git" }, "SOURCE_UNREACHABLE", false],
])("%s breaks the attempt with its reason", async (_name, change, reason, authorFault) => {
  using folder = workFolder();
  using repo = testRepository();
  const commit = repo.commit("main", { "a.txt": "x" });
  const failure = into(place(folder.path), { repository: repo.url, commit, ref: "refs/heads/main", ...change });
  await expect(failure).rejects.toMatchObject({ name: "BrokenStep", reason, authorFault });
  await expect(failure).rejects.not.toThrow(/secret/);
});

test("local repositories are refused where they are not allowed", async () => {
  using folder = workFolder();
  using repo = testRepository();
  const commit = repo.commit("main", { "a.txt": "x" });
  const at = place(folder.path);
  for (const repository of [repo.url, "http://127.0.0.1:1/x.git", "http://localhost:1/x.git"]) {
    const failure = into(at, { repository, commit }, { allowLocal: false });
    await expect(failure).rejects.toMatchObject({ reason: "REPOSITORY_REFUSED" });
  }
});

test("credentials open the repository and are left nowhere; without them, and with wrong ones, it says so", async () => {
  using folder = workFolder();
  using repo = testRepository();
  const commit = repo.commit("main", { "a.txt": "private" });
  const token = "canary-4f1c9e";
  await using server = await startGitHttpServer({ root: repo.root, basicAuth: { user: "ada", token } });
  const source = { repository: `${server.url}/project.git`, commit, ref: "refs/heads/main" };
  const credentials = join(folder.path, "credentials");
  writeFileSync(credentials, `${server.host} ada ${token}\n`, { mode: 0o600 });
  const at = place(join(folder.path, "right"));
  mkdirSync(at.root);
  const workspace = await into(at, source, { credentials });
  expect(readFileSync(join(workspace, "a.txt"), "utf8")).toBe("private");
  expect(() => execFileSync("grep", ["-r", "-a", "-l", token, at.root])).toThrow();
  expect(at.told.join("\n")).not.toContain(token);

  const none = place(join(folder.path, "none"));
  mkdirSync(none.root);
  await expect(into(none, source)).rejects.toMatchObject({ reason: "CREDENTIALS_NEEDED", authorFault: false });
  writeFileSync(credentials, `${server.host} ada wrong\n`);
  await expect(into(none, source, { credentials })).rejects.toMatchObject({ reason: "CREDENTIALS_REFUSED" });
  chmodSync(credentials, 0o644);
  await expect(into(none, source, { credentials })).rejects.toMatchObject({ reason: "CREDENTIALS_REFUSED" });
});

test.runIf(HAS_SSHD)("over ssh with a key, and with one that nobody knows", async () => {
  using folder = workFolder();
  using repo = testRepository();
  const commit = repo.commit("main", { "a.txt": "over ssh" });
  const dir = join(folder.path, "sshd");
  mkdirSync(dir);
  await using sshd = await startGitSshServer(dir);
  const source = { repository: `${sshd.url}${repo.path}`, commit, ref: "refs/heads/main" };
  const credentials = join(folder.path, "credentials");
  writeFileSync(credentials, `${sshd.host} ssh ${sshd.keyFile}\n`, { mode: 0o600 });
  const workspace = await into(place(folder.path), source, { credentials });
  expect(readFileSync(join(workspace, "a.txt"), "utf8")).toBe("over ssh");
  writeFileSync(credentials, `${sshd.host} ssh ${sshd.strangerKeyFile}\n`);
  const stranger = place(join(folder.path, "stranger"));
  mkdirSync(stranger.root);
  await expect(into(stranger, source, { credentials })).rejects.toMatchObject({ reason: "CREDENTIALS_REFUSED" });
});

test("submodules come when they are asked for, and hooks never run", async () => {
  using folder = workFolder();
  using inner = testRepository("inner");
  using repo = testRepository();
  const innerCommit = inner.commit("main", { "inside.txt": "inner" });
  repo.commit("main", { ".gitmodules": `[submodule "inner"]\n\tpath = inner\n\turl = ${inner.url}\n` });
  const index = join(repo.root, "index");
  const env = {
    ...process.env,
    GIT_INDEX_FILE: index,
    GIT_AUTHOR_NAME: "a",
    GIT_AUTHOR_EMAIL: "a",
    GIT_COMMITTER_NAME: "a",
    GIT_COMMITTER_EMAIL: "a",
  };
  const inRepo = (...args: string[]) =>
    execFileSync("git", ["-c", "safe.directory=*", ...args], { cwd: repo.path, env, encoding: "utf8" }).trim();
  inRepo("read-tree", "main");
  inRepo("update-index", "--add", "--cacheinfo", `160000,${innerCommit},inner`);
  const commit = inRepo("commit-tree", inRepo("write-tree"), "-p", "main", "-m", "with a submodule");
  repo.git("update-ref", "refs/heads/main", commit);
  const at = place(folder.path);
  const source = { repository: repo.url, commit, ref: "refs/heads/main" };
  const without = await into(at, source);
  expect(readdirSync(join(without, "inner"))).toEqual([]);
  const whole = await into(at, { ...source, submodules: true });
  expect(readFileSync(join(whole, "inner", "inside.txt"), "utf8")).toBe("inner");
});

test("a mirror that is damaged is made anew, and one that a kill left locked is unlocked", async () => {
  using folder = workFolder();
  using repo = testRepository();
  const commit = repo.commit("main", { "a.txt": "text" });
  const at = place(folder.path);
  const source = { repository: repo.url, commit, ref: "refs/heads/main" };
  await into(at, source);
  const name = readdirSync(join(folder.path, "mirrors"))[0] as string;
  const mirror = join(folder.path, "mirrors", name, "0");
  const blob = repo.git("rev-parse", `${commit}:a.txt`);
  rmSync(join(mirror, "objects", blob.slice(0, 2), blob.slice(2)));
  const workspace = await into(at, source);
  expect(readFileSync(join(workspace, "a.txt"), "utf8")).toBe("text");
  writeFileSync(join(folder.path, "mirrors", name, "1", "shallow.lock"), "");
  const later = place(folder.path);
  await later.mirrors.tidy();
  expect(existsSync(mirror)).toBe(false);
  const next = repo.commit("main", { "a.txt": "next" });
  expect(readFileSync(join(await into(later, { ...source, commit: next }), "a.txt"), "utf8")).toBe("next");
});

test("who is stopped does not wait for another's fetch", async () => {
  using folder = workFolder();
  const mirrors = openMirrors(folder.path);
  const mirror = await mirrors.of("https://example.com/a.git");
  const other = Promise.withResolvers<void>();
  const busy = mirror.alone(() => other.promise, new AbortController().signal);
  const stop = new AbortController();
  const waiting = mirror.alone(async () => "never", stop.signal);
  stop.abort(new Error("stopped"));
  await expect(waiting).rejects.toThrow("stopped");
  other.resolve();
  await busy;
  await expect(mirror.alone(async () => "next", new AbortController().signal)).resolves.toBe("next");
});
