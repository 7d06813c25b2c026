import { usage } from "../exit-codes.ts";
import { readDuration } from "../times.ts";

interface Options {
  watch?: boolean;
  timeout?: string;
  /** Commander's for --no-logs: false when that was given. */
  logs?: boolean;
  json?: string | true;
}

/** How long a verb with --watch watches at most. Refuses what would be ignored, with --watch and without. */
export function readWatch({ watch, timeout, logs, json }: Options): { timeoutMs?: number } {
  if (!watch && timeout !== undefined) throw usage("--timeout goes with --watch.");
  if (!watch && logs === false) throw usage("--no-logs goes with --watch.");
  if (watch && typeof json === "string") {
    throw usage(
      `With --watch, --json takes no fields (${JSON.stringify(json)}): each line says by its \`type\` what it has. Put --json last, and choose with jq.`,
    );
  }
  return timeout === undefined ? {} : { timeoutMs: readDuration(timeout) };
}
