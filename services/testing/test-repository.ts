import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { plainGitEnvironment } from "./git-servers.ts";

export interface TestRepository extends Disposable {
  /** The folder that holds it, and nothing else at first. */
  root: string;
  /** The bare repository: `<root>/<name>.git`. */
  path: string;
  url: string;
  /** Runs git in the repository and answers what it prints. */
  git(...args: string[]): string;
  /** Commits files onto a branch (made where it is not there) and answers the commit. */
  commit(branch: string, files: Record<string, string | Buffer>, message?: string): string;
}

/** A bare repository of its own in a temporary folder, for one test; removed at the end of `using`. */
export function testRepository(name = "project"): TestRepository {
  const root = mkdtempSync(join(tmpdir(), "ritmo-repository-"));
  const path = join(root, `${name}.git`);
  const env = {
    PATH: process.env["PATH"],
    ...plainGitEnvironment(root),
    GIT_AUTHOR_NAME: "Ada Lovelace",
    GIT_AUTHOR_EMAIL: "ada@ritmo.example",
    GIT_COMMITTER_NAME: "Ada Lovelace",
    GIT_COMMITTER_EMAIL: "ada@ritmo.example",
  };
  const run = (cwd: string, args: string[], input?: string | Buffer) =>
    execFileSync("git", args, { cwd, env, input, stdio: ["pipe", "pipe", "pipe"] })
      .toString()
      .trim();
  run(root, ["init", "--quiet", "--bare", "--initial-branch=main", path]);
  const git = (...args: string[]) => run(path, args);
  return {
    root,
    path,
    url: `file://${path}`,
    git,
    commit(branch, files, message = "Change something") {
      const work = mkdtempSync(join(root, "work-"));
      const inWork = (...args: string[]) => run(path, ["--work-tree", work, ...args]);
      inWork("symbolic-ref", "HEAD", `refs/heads/${branch}`);
      // An index that is empty on a branch that is not there yet.
      if (git("for-each-ref", `refs/heads/${branch}`)) inWork("read-tree", "HEAD");
      else inWork("read-tree", "--empty");
      for (const [file, content] of Object.entries(files)) {
        mkdirSync(dirname(join(work, file)), { recursive: true });
        writeFileSync(join(work, file), content);
        inWork("add", "--force", "--", join(work, file));
      }
      run(path, ["--work-tree", work, "commit", "--quiet", "--allow-empty", "--file=-"], message);
      inWork("symbolic-ref", "HEAD", "refs/heads/main");
      rmSync(work, { recursive: true, force: true });
      return git("rev-parse", `refs/heads/${branch}`);
    },
    [Symbol.dispose]: () => rmSync(root, { recursive: true, force: true, maxRetries: 3 }),
  };
}
