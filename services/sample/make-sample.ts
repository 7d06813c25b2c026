import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
} from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { SAMPLE_BRANCHES, type SampleBranch } from "./sample-files.ts";

/** Why there is no sample, in one line. */
export class SampleError extends Error {
  override readonly name = "SampleError";
}

// The same author and time everywhere, so that every sample has the same commits.
const WHO = "Ritmo <sample@ritmo.invalid> 1767225600 +0000";

/**
 * Makes the bare sample repository at a path that is new or an empty folder, and answers where it is. The whole of it
 * appears at once. Throws SampleError.
 */
export function makeSample(path: string): string {
  const target = resolve(path);
  refuseTaken(target);
  mkdirSync(dirname(target), { recursive: true });
  const making = mkdtempSync(join(dirname(target), `.${basename(target)}-`));
  try {
    git(making, ["init", "--quiet", "--bare", "--initial-branch=main", "--object-format=sha1", "."]);
    git(making, ["fast-import", "--quiet"], SAMPLE_BRANCHES.map(toFastImport).join(""));
    chmodSync(making, 0o755);
    if (existsSync(target)) rmdirSync(target);
    renameSync(making, target);
  } finally {
    rmSync(making, { recursive: true, force: true });
  }
  return target;
}

function refuseTaken(target: string): void {
  if (!existsSync(target)) return;
  if (!statSync(target).isDirectory()) throw new SampleError(`${target} is a file. Name a path that is new.`);
  if (readdirSync(target).length > 0) throw new SampleError(`${target} is not empty. Name a path that is new.`);
}

/** One commit in the language of git-fast-import(1). */
function toFastImport({ name, from, message, files }: SampleBranch): string {
  const data = (text: string) => `data ${Buffer.byteLength(text)}\n${text}\n`;
  const changes = Object.entries(files).map(([path, text]) => {
    const mode = path.endsWith(".sh") ? "100755" : "100644";
    return `M ${mode} inline ${path}\n${data(text)}`;
  });
  const head = `commit refs/heads/${name}\nauthor ${WHO}\ncommitter ${WHO}\n${data(message)}`;
  return `${head}${from ? `from refs/heads/${from}\n` : ""}${changes.join("")}\n`;
}

function git(folder: string, args: string[], input = ""): void {
  const done = spawnSync("git", args, {
    cwd: folder,
    input,
    encoding: "utf8",
    // Nobody's own configuration (templates, hooks, signing) has a say.
    env: {
      PATH: process.env["PATH"] ?? "",
      HOME: folder,
      GIT_CONFIG_NOSYSTEM: "1",
      GIT_CONFIG_GLOBAL: "/dev/null",
      GIT_TEMPLATE_DIR: "",
      LC_ALL: "C",
    },
  });
  if (done.error) throw new SampleError("git is not on PATH. Install it, then try again.");
  if (done.status !== 0) throw new SampleError(`git ${args[0]} failed: ${done.stderr.trim().split("\n").at(-1)}`);
}
