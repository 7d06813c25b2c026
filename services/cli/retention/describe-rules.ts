import type { Retention } from "@ritmo/contract/ritmo/job/v1/job_pb.js";
import { sizeText } from "../times.ts";

/** What a job keeps, in words: `30 days, 100 builds`; `what the server's settings say` without rules of its own. */
export function describeRules(retention: Retention | undefined): string {
  const { days, builds, bytes } = retention ?? {};
  const parts = [
    days !== undefined && (days === 0 ? "whatever its age" : `${days} days`),
    builds !== undefined && (builds === 0 ? "any number of builds" : `${builds} builds`),
    bytes !== undefined && (bytes === 0n ? "any size" : sizeText(bytes)),
  ].filter((part): part is string => part !== false);
  return parts.length > 0 ? parts.join(", ") : "what the server's settings say";
}
