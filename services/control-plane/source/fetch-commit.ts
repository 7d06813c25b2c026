import type { GitResult } from "../../process/git/run-git.ts";
import { nearest } from "../pipeline/nearest.ts";
import type { Bare } from "./open-bare.ts";
import { SourceProblem } from "./source-problem.ts";

export interface WantedRef {
  kind: "branch" | "tag" | "commit";
  name: string;
}

const FULL_COMMIT = /^([0-9a-f]{40}|[0-9a-f]{64})$/;
const SOME_COMMIT = /^[0-9a-f]{7,64}$/;
const SHALLOW = ["fetch", "--quiet", "--no-tags", "--depth=1", "--filter=blob:none", "--end-of-options", "origin"];
// All commits and no files: what an abbreviation, or a server that gives no commit by its id, needs.
const HISTORY = ["fetch", "--quiet", "--no-tags", "--filter=tree:0", "--end-of-options", "origin"];
const EVERYTHING = ["+refs/heads/*:refs/ritmo/heads/*", "+refs/tags/*:refs/ritmo/tags/*"];

/** Fetches what was asked for and answers its full commit id. Throws SourceProblem when it is not there. */
export async function fetchCommit(bare: Bare, wanted: WantedRef): Promise<string> {
  if (wanted.kind === "commit") return fetchById(bare, wanted.name.toLowerCase());
  const folder = wanted.kind === "branch" ? "heads" : "tags";
  const fetched = await bare.git([...SHALLOW, `+refs/${folder}/${wanted.name}:refs/ritmo/wanted`]);
  if (fetched.exitCode !== 0) throw await refProblem(bare, wanted, folder, fetched);
  const commit = await revParse(bare, "refs/ritmo/wanted");
  if (commit) return commit;
  throw new SourceProblem("COMMIT_NOT_FOUND", `The ${wanted.kind} ${quote(wanted.name)} does not lead to a commit.`);
}

async function fetchById(bare: Bare, name: string): Promise<string> {
  if (!SOME_COMMIT.test(name)) {
    const message = `${quote(name)} is not a commit: write its id, at least 7 of its hexadecimal digits.`;
    throw new SourceProblem("COMMIT_NOT_FOUND", message);
  }
  if (FULL_COMMIT.test(name)) {
    const fetched = await bare.git([...SHALLOW, name]);
    if (fetched.exitCode === 0) return (await revParse(bare, name)) ?? (await noCommit(name));
    const { reason, message } = bare.explain(fetched);
    if (reason !== "COMMIT_NOT_FOUND") throw new SourceProblem(reason, message);
  }
  await bare.need([...HISTORY, ...EVERYTHING]);
  return (await revParse(bare, name)) ?? noCommit(name);
}

async function revParse(bare: Bare, name: string): Promise<string | undefined> {
  const parsed = await bare.git(["rev-parse", "--verify", "--end-of-options", `${name}^{commit}`]);
  if (parsed.exitCode === 0)
    return parsed.stdout
      .toString("ascii")
      .trim()
      .replace(/^--end-of-options\s+/, "");
  if (/is ambiguous/.test(parsed.stderr)) {
    throw new SourceProblem("COMMIT_NOT_FOUND", `Several commits begin with ${quote(name)}; write more of its digits.`);
  }
  return undefined;
}

function noCommit(name: string): never {
  const message = `No branch or tag of the repository leads to a commit ${quote(name)}; was it pushed?`;
  throw new SourceProblem("COMMIT_NOT_FOUND", message);
}

async function refProblem(bare: Bare, wanted: WantedRef, folder: string, fetched: GitResult): Promise<SourceProblem> {
  const { reason, message } = bare.explain(fetched);
  if (reason !== "REF_NOT_FOUND") return new SourceProblem(reason, message);
  const listed = await bare.git(["ls-remote", "--quiet", "--refs", "--end-of-options", "origin", `refs/${folder}/*`]);
  const names = [...listed.stdout.toString("utf8").matchAll(/^[0-9a-f]+\trefs\/(?:heads|tags)\/(.+)$/gm)];
  const likely = nearest(
    wanted.name,
    names.map((found) => found[1] as string),
  );
  const advice = likely ? `did you mean ${quote(likely)}?` : hint(wanted.kind, names.length);
  return new SourceProblem("REF_NOT_FOUND", `The ${wanted.kind} ${quote(wanted.name)} is not there; ${advice}`);
}

function hint(kind: string, count: number): string {
  return count === 0
    ? "the repository has none; push one."
    : `it has ${count} other${count === 1 ? "" : "s"}, is the name of the ${kind} right?`;
}

function quote(name: string): string {
  return JSON.stringify(name);
}
