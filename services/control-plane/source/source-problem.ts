import type { GitFailureReason } from "../../process/git/explain-git-failure.ts";

export type SourceReason = GitFailureReason | "PIPELINE_NOT_FOUND" | "PIPELINE_TOO_LARGE";

// What an operator or another server has to mend; all else is the author's.
const OURS: ReadonlySet<SourceReason> = new Set([
  "CREDENTIALS_NEEDED",
  "CREDENTIALS_REFUSED",
  "SOURCE_TIMEOUT",
  "SOURCE_UNREACHABLE",
]);

/** Why a build's source can't be read. The message says what, where, and what to do; it holds no credential. */
export class SourceProblem extends Error {
  override readonly name = "SourceProblem";
  readonly reason: SourceReason;
  /** How a build ends by it. */
  readonly outcome: "failure" | "error";

  constructor(reason: SourceReason, message: string) {
    super(message);
    this.reason = reason;
    this.outcome = OURS.has(reason) ? "error" : "failure";
  }
}
