import type { AttemptLogs } from "../attempt-logs.ts";
import { eachAtOnce } from "../each-at-once.ts";
import { BrokenStep } from "../executor/executor.ts";
import type { Hand } from "../hand.ts";
import { CallRefused } from "../link/ask.ts";
import type { LeaseClock } from "../link/lease-clock.ts";
import type { LineKeeper } from "../link/open-lines.ts";
import type { Folders } from "../workspace/make-folders.ts";
import { findArtifacts } from "./find-artifacts.ts";
import { uploadArtifact } from "./upload-artifact.ts";

export interface ShipParts {
  lines: LineKeeper;
  lease: LeaseClock;
  limits(): { maxArtifacts: number };
}

const FILES_AT_ONCE = 4;
// Names that are told one by one; more are counted.
const MAX_TOLD = 20;

/** Delivers every file of the workspace that the step keeps. Throws BrokenStep; a lost lease drops the hand. */
export async function shipArtifacts(
  { lines, lease, limits }: ShipParts,
  hand: Hand,
  { workspace }: Folders,
  { tell }: Pick<AttemptLogs, "tell">,
): Promise<void> {
  const { leaseId, offer } = hand;
  const startedAtMs = performance.now();
  const { files, skipped, unmatched } = await findArtifacts(workspace, offer.spec?.artifacts ?? []);
  for (const glob of unmatched) tell(`no file matches ${JSON.stringify(glob)}`);
  for (const path of skipped.slice(0, MAX_TOLD)) tell(`${JSON.stringify(path)} is a link and is not kept`);
  if (skipped.length > MAX_TOLD) tell(`${skipped.length - MAX_TOLD} more links are not kept`);
  const { maxArtifacts } = limits();
  if (maxArtifacts > 0 && files.length > maxArtifacts) {
    const message = `the step keeps ${files.length} files; at most ${maxArtifacts} may be kept`;
    throw new BrokenStep("TOO_MANY_ARTIFACTS", message, { authorFault: true });
  }
  // A step that timed out still delivers; any other end of the worker's making comes before.
  const asking = { lines, lease, signal: hand.ending.aborted ? hand.dropped : hand.ending };
  let bytes = 0;
  try {
    await eachAtOnce(files, FILES_AT_ONCE, async (path) => {
      const { sizeBytes } = await uploadArtifact(asking, { leaseId, workspace }, path);
      bytes += sizeBytes;
    });
  } catch (reason) {
    if (reason instanceof CallRefused && reason.refused.reason === "LEASE_LOST") hand.drop("the lease is lost");
    throw reason;
  }
  if (files.length > 0)
    tell(`kept ${files.length} files, ${bytes} bytes, in ${Math.round(performance.now() - startedAtMs)} ms`);
}
