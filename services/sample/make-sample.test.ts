import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { makeSample } from "./make-sample.ts";

const MAIN = join(import.meta.dirname, "main.ts");
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "ritmo-sample-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function run(cwd: string, program: string, ...args: string[]) {
  const { status, stdout, stderr } = spawnSync(program, args, { cwd, encoding: "utf8" });
  return { status, stdout, stderr };
}

function checkout(repository: string, branch: string): string {
  const tree = join(folder, `tree-${branch}`);
  expect(run(folder, "git", "clone", "-q", "-b", branch, repository, tree).status).toBe(0);
  return tree;
}

test("three branches, the same commits every time, main in front", () => {
  const first = makeSample(join(folder, "one.git"));
  const second = makeSample(join(folder, "two.git"));
  const refs = run(first, "git", "for-each-ref").stdout;
  expect(refs.match(/refs\/heads\/\w+/g)).toEqual(["refs/heads/broken", "refs/heads/gpu", "refs/heads/main"]);
  expect(run(second, "git", "for-each-ref").stdout).toBe(refs);
  expect(run(first, "git", "symbolic-ref", "HEAD").stdout).toBe("refs/heads/main\n");
  expect(run(first, "git", "fsck", "--strict").status).toBe(0);
});

test("main compiles and passes; broken exits 3 and says why", () => {
  const repository = makeSample(join(folder, "run.git"));
  const good = checkout(repository, "main");
  expect(run(good, "sh", "compile.sh")).toMatchObject({ status: 0, stderr: "" });
  expect(readdirSync(join(good, "dist")).sort()).toEqual(["hello", "hello.cksum"]);
  expect(run(good, "sh", "test.sh")).toMatchObject({ status: 0, stderr: "" });

  const bad = checkout(repository, "broken");
  expect(run(bad, "sh", "compile.sh").status).toBe(0);
  const failed = run(bad, "sh", "test.sh");
  expect(failed.status).toBe(3);
  expect(failed.stderr).toContain('error: expected "Hello, Ada!", got "Hi, Ada!"');
});

test("an empty folder becomes the repository; one with something in it, or a file, is refused and left alone", () => {
  const empty = join(folder, "empty");
  mkdirSync(empty);
  expect(run(folder, process.execPath, MAIN, empty)).toMatchObject({ status: 0, stdout: `${empty}\n` });

  const full = join(folder, "full");
  mkdirSync(full);
  writeFileSync(join(full, "thesis.txt"), "years");
  const refused = run(folder, process.execPath, MAIN, full);
  expect(refused).toMatchObject({ status: 1, stderr: `${full} is not empty. Name a path that is new.\n` });
  expect(readdirSync(full)).toEqual(["thesis.txt"]);
  expect(run(folder, process.execPath, MAIN, join(full, "thesis.txt")).stderr).toContain("is a file");
  expect(run(folder, process.execPath, MAIN, join(full, "thesis.txt", "in")).stderr).toMatch(
    /^The sample can't be made at .*EEXIST/,
  );
});

test("usage: exit 2 and nothing made", () => {
  expect(run(folder, process.execPath, MAIN)).toMatchObject({ status: 2, stdout: "" });
  expect(run(folder, process.execPath, MAIN, "--help")).toMatchObject({ status: 0, stderr: "" });
});
