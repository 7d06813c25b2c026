import { chmodSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type TestRepository, testRepository } from "../../testing/test-repository.ts";
import { readSource, type SourceRequest } from "./read-source.ts";

const PIPELINE = "version: 1\nsteps: { test: { run: make } }\n";
let repository: TestRepository;
let commit: string;

beforeEach(() => {
  repository = testRepository();
  commit = repository.commit("main", { ".ritmo.yaml": PIPELINE, "src/a.txt": "a" }, "First\n\nWith a body.\n");
});
afterEach(() => repository[Symbol.dispose]());

const read = (request: Partial<SourceRequest>, more = {}) =>
  readSource(
    { repository: repository.url, kind: "branch", name: "main", path: ".ritmo.yaml", ...request },
    { allowLocal: true, ...more },
  );

test("a branch is resolved to its commit, with author, message and the file's text, and nothing is left behind", async () => {
  const before = process.env["TMPDIR"];
  const temporary = mkdtempSync(join(tmpdir(), "ritmo-test-"));
  process.env["TMPDIR"] = temporary;
  const source = await read({}).finally(() => {
    if (before === undefined) delete process.env["TMPDIR"];
    else process.env["TMPDIR"] = before;
  });
  expect(source).toEqual({
    commit,
    authorName: "Ada Lovelace",
    authorEmail: "ada@ritmo.example",
    message: "First\n\nWith a body.",
    pipelineText: PIPELINE,
  });
  expect(readdirSync(temporary)).toEqual([]);
  rmSync(temporary, { recursive: true });
});

test("without a path only the commit is read", async () => {
  expect(await read({ path: undefined })).not.toHaveProperty("pipelineText");
});

test("a file of a folder, at the commit that was asked for and no other", async () => {
  repository.commit("main", { "ci/pipeline.yaml": "two" });
  expect(await read({ path: "ci/pipeline.yaml" })).toMatchObject({ pipelineText: "two" });
  await expect(read({ path: "ci/pipeline.yaml", kind: "commit", name: commit })).rejects.toMatchObject({
    reason: "PIPELINE_NOT_FOUND",
  });
});

test("tags are peeled, branches and tags of one name kept apart", async () => {
  const later = repository.commit("v1", { ".ritmo.yaml": "later" });
  repository.git("tag", "-a", "-m", "one", "v1", commit);
  repository.git("tag", "light", commit);
  expect((await read({ kind: "tag", name: "v1" })).commit).toBe(commit);
  expect((await read({ kind: "tag", name: "light" })).commit).toBe(commit);
  expect((await read({ kind: "branch", name: "v1" })).commit).toBe(later);
});

test("a tag that leads to no commit says so", async () => {
  repository.git("tag", "tree", `${commit}^{tree}`);
  await expect(read({ kind: "tag", name: "tree" })).rejects.toMatchObject({ reason: "COMMIT_NOT_FOUND" });
});

test("a commit by its whole id and by its beginning, also when it is no tip", async () => {
  repository.commit("main", { b: "b" });
  for (const name of [commit, commit.toUpperCase(), commit.slice(0, 7), commit.slice(0, 20)]) {
    expect(await read({ kind: "commit", name })).toMatchObject({ commit, pipelineText: PIPELINE });
  }
});

test.each([
  ["a".repeat(40), "was it pushed"],
  ["abcdef1", "was it pushed"],
  ["abc", "at least 7"],
  ["main", "at least 7"],
  ["--upload-pack=touch /tmp/x", "at least 7"],
])("commit %j is not there: %s", async (name, words) => {
  const problem = await read({ kind: "commit", name }).catch((reason) => reason);
  expect(problem).toMatchObject({ name: "SourceProblem", reason: "COMMIT_NOT_FOUND", outcome: "failure" });
  expect(problem.message).toContain(words);
});

test("a beginning that several commits have asks for more digits", async () => {
  const { git } = repository;
  // Made up so that two ids share seven digits: found by trying messages.
  const ids = new Map<string, string>();
  const tree = git("rev-parse", `${commit}^{tree}`);
  const header = `tree ${tree}\nauthor A <a@x> 1 +0000\ncommitter A <a@x> 1 +0000\n\n`;
  const { createHash } = await import("node:crypto");
  let pair: [string, string] | undefined;
  for (let n = 0; !pair; n++) {
    const body = `${header}${n}\n`;
    const id = createHash("sha1").update(`commit ${body.length}\0${body}`).digest("hex");
    const twin = ids.get(id.slice(0, 7));
    if (twin !== undefined) pair = [twin, body];
    ids.set(id.slice(0, 7), body);
  }
  const files = pair.map((body, index) => {
    const path = join(repository.root, `object-${index}`);
    writeFileSync(path, body);
    return git("hash-object", "-t", "commit", "-w", path);
  }) as [string, string];
  files.forEach((id, index) => void git("update-ref", `refs/heads/twin-${index}`, id));
  const problem = await read({ kind: "commit", name: files[0].slice(0, 7) }).catch((reason) => reason);
  expect(problem).toMatchObject({ reason: "COMMIT_NOT_FOUND", message: expect.stringContaining("Several commits") });
  expect((await read({ kind: "commit", name: files[0], path: undefined })).commit).toBe(files[0]);
});

test("a branch that is not there names the likely one", async () => {
  const problem = await read({ name: "mian" }).catch((reason) => reason);
  expect(problem).toMatchObject({ reason: "REF_NOT_FOUND", outcome: "failure" });
  expect(problem.message).toBe('The branch "mian" is not there; did you mean "main"?');
  await expect(read({ kind: "tag", name: "v9" })).rejects.toThrow("the repository has none");
});

test.each(["", "a..b", "a b", "a\nb", "x^", "-x/../y", "a:b", "*", "a.lock", "/a", "a//b", "@{u}", "a\0b"])(
  "%j is no name of a branch",
  async (name) => {
    await expect(read({ name })).rejects.toMatchObject({ reason: "REF_NOT_FOUND" });
  },
);

test("a branch that begins with a dash is a branch", async () => {
  repository.git("update-ref", "refs/heads/-x", commit);
  expect((await read({ name: "-x" })).commit).toBe(commit);
});

test("a repository that is not there, and one that is a file of something else", async () => {
  const missing = await read({ repository: "file:///does/not/exist.git" }).catch((reason) => reason);
  expect(missing).toMatchObject({ reason: "REPOSITORY_NOT_FOUND", outcome: "failure" });
  expect(missing.message).toContain("file:///does/not/exist.git");
  await expect(read({ repository: `file://${repository.root}` })).rejects.toMatchObject({
    reason: "REPOSITORY_NOT_FOUND",
  });
});

test("a repository without a commit has no branch", async () => {
  using empty = testRepository("empty");
  await expect(read({ repository: empty.url })).rejects.toMatchObject({ reason: "REF_NOT_FOUND" });
});

test("a pipeline's file that is not there, is a folder, a link, or too large", async () => {
  const path = async (one: string) => await read({ path: one }).catch((reason) => reason);
  const missing = await path("no.yaml");
  expect(missing).toMatchObject({ reason: "PIPELINE_NOT_FOUND", outcome: "failure" });
  expect(missing.message).toContain(`no.yaml at commit ${commit.slice(0, 12)}`);
  expect(await path("src")).toMatchObject({ reason: "PIPELINE_NOT_FOUND" });
  expect(await path("../x")).toMatchObject({ reason: "PIPELINE_NOT_FOUND" });
  expect(await path("/etc/passwd")).toMatchObject({ reason: "PIPELINE_NOT_FOUND" });
  const work = mkdtempSync(join(repository.root, "link-"));
  symlinkSync("/etc/passwd", join(work, "link.yaml"));
  repository.git("--work-tree", work, "add", "--force", join(work, "link.yaml"));
  repository.git("--work-tree", work, "commit", "-q", "-m", "link");
  expect(await path("link.yaml")).toMatchObject({
    reason: "PIPELINE_NOT_FOUND",
    message: expect.stringContaining("symbolic link"),
  });
  repository.commit("main", {
    "big.yaml": Buffer.alloc(512 * 1024 + 1, "#"),
    "fits.yaml": Buffer.alloc(512 * 1024, "#"),
  });
  expect(await path("big.yaml")).toMatchObject({ reason: "PIPELINE_TOO_LARGE", outcome: "failure" });
  expect((await read({ path: "fits.yaml" })).pipelineText).toHaveLength(512 * 1024);
});

test("a repository that sends too much is stopped while it does", async () => {
  const { randomBytes } = await import("node:crypto");
  repository.git("config", "uploadpack.allowFilter", "false");
  repository.commit("main", { noise: randomBytes(3 * 1024 * 1024) });
  // Only a server that does not filter sends what nobody asked for.
  const big = `${repository.url}`;
  await expect(read({ repository: big }, { maxFetchBytes: 1024 * 1024 })).rejects.toMatchObject({
    reason: "REPOSITORY_TOO_LARGE",
  });
  expect((await read({ repository: big })).pipelineText).toBe(PIPELINE);
});

test("what is no UTF-8 in a commit is replaced, and a long message is cut", async () => {
  repository.commit("main", {}, `Ünïcode ${"x".repeat(20_000)}`);
  const { message } = await read({});
  expect(message.startsWith("Ünïcode xx")).toBe(true);
  expect(Buffer.byteLength(message)).toBeLessThanOrEqual(16 * 1024);
});

test("files of this machine are refused unless they are allowed", async () => {
  const problem = await read({}, { allowLocal: false }).catch((reason) => reason);
  expect(problem).toMatchObject({ reason: "REPOSITORY_REFUSED", outcome: "failure" });
});

test("a signal ends it", async () => {
  await expect(read({}, { signal: AbortSignal.abort(new Error("stopping")) })).rejects.toThrow("stopping");
});

test("hooks and configuration of the repository run nothing", async () => {
  const marker = join(repository.root, "ran");
  const hook = join(repository.path, "hooks", "post-upload-pack");
  writeFileSync(join(repository.root, "evil.sh"), `#!/bin/sh\ntouch ${marker}\nexec "$@"\n`);
  chmodSync(join(repository.root, "evil.sh"), 0o755);
  rmSync(hook, { force: true });
  repository.git("config", "uploadpack.packObjectsHook", join(repository.root, "evil.sh"));
  repository.git("config", "core.fsmonitor", join(repository.root, "evil.sh"));
  expect((await read({})).commit).toBe(commit);
  expect(readdirSync(repository.root)).not.toContain("ran");
});
