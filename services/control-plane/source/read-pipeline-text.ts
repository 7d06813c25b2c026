import type { Bare } from "./open-bare.ts";
import { SourceProblem } from "./source-problem.ts";

export const MAX_PIPELINE_BYTES = 512 * 1024;

const WHAT = { "120000": "a symbolic link", "160000": "a submodule", "040000": "a folder" } as Record<string, string>;

/** The text of the pipeline's file at a commit. Throws SourceProblem when there is no such file, or it is too large. */
export async function readPipelineText(bare: Bare, commit: string, path: string): Promise<string> {
  const listed = await bare.need(["ls-tree", "-z", "--full-tree", commit, "--", path]);
  const entry = /^(\d+) \S+ ([0-9a-f]+)\t/.exec(listed.stdout.toString("utf8"));
  const at = `${path} at commit ${commit.slice(0, 12)}`;
  if (!entry?.[1] || !entry[2]) {
    throw new SourceProblem("PIPELINE_NOT_FOUND", `There is no ${at}; add one, or keep the pipeline in the job.`);
  }
  const other = WHAT[entry[1]];
  if (other) throw new SourceProblem("PIPELINE_NOT_FOUND", `${at} is ${other}; put the text itself there.`);
  const blob = await bare.git(["cat-file", "blob", entry[2]], MAX_PIPELINE_BYTES);
  if (blob.exceeded === "output") {
    throw new SourceProblem("PIPELINE_TOO_LARGE", `${at} is over 512 KiB; split the pipeline.`);
  }
  if (blob.exitCode !== 0) {
    const { reason, message } = bare.explain(blob);
    throw new SourceProblem(reason, message);
  }
  return blob.stdout.toString("utf8");
}
