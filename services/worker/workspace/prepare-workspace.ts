import type { AttemptLogs } from "../attempt-logs.ts";
import { BrokenStep } from "../executor/executor.ts";
import type { Hand } from "../hand.ts";
import { type CheckoutParts, checkOut } from "./check-out.ts";
import { fetchInputs, type InputParts } from "./fetch-inputs.ts";
import type { Folders } from "./make-folders.ts";

export interface PrepareParts extends CheckoutParts, InputParts {}

/**
 * Brings the commit and then the inputs into the workspace, and tells so in the log of the preparation. Throws
 * BrokenStep, or the reason of the signal when the attempt is ended meanwhile.
 */
export async function prepareWorkspace(
  parts: PrepareParts,
  hand: Hand,
  { workspace, tmp }: Folders,
  { tell }: Pick<AttemptLogs, "tell">,
): Promise<void> {
  const { spec, source } = hand.offer;
  try {
    if (spec?.checkout && source?.repository) {
      await checkOut(parts, { leaseId: hand.leaseId, source, workspace, tmp, signal: hand.ending, tell });
    }
    if (spec && spec.inputs.length > 0) await fetchInputs(parts, hand, { workspace, tmp, tell });
  } catch (reason) {
    if (reason instanceof BrokenStep) tell(reason.message);
    throw reason;
  }
}
