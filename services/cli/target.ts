import type { Client } from "@connectrpc/connect";
import type { BuildService } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import { CliError, EXIT } from "./exit-codes.ts";

export interface LineSpan {
  first: number;
  /** Absent: to the end. */
  last?: number;
}

/** What somebody typed or pasted for a build, a step or an attempt. */
export interface Target {
  kind: "build" | "step" | "attempt";
  /** For the server, which understands names, ids and web addresses. */
  name: string;
  /** From a web address that ends in #L120 or #L120-L140. */
  lines?: LineSpan;
}

/** Tells what a name is of, without asking the server. */
export function readTarget(text: string): Target {
  if (/^https?:\/\//i.test(text) && URL.canParse(text)) return readAddress(new URL(text));
  if (text.startsWith("att_") || /#\d+\/.+@\d+$/.test(text)) return { kind: "attempt", name: text };
  if (text.startsWith("stp_") || /#\d+\//.test(text)) return { kind: "step", name: text };
  return { kind: "build", name: text };
}

function readAddress(url: URL): Target {
  const span = /^#L(\d+)(?:-L?(\d+))?$/.exec(url.hash);
  url.hash = "";
  const step = url.searchParams.has("step");
  const kind = step ? (url.searchParams.has("attempt") ? "attempt" : "step") : "build";
  const lines = span && { first: Number(span[1]), last: Number(span[2] ?? span[1]) };
  return { kind, name: url.href, ...(lines ? { lines } : {}) };
}

/** A name as the server takes it: a web address loses the part that only a page reads. */
export function nameOf(text: string): string {
  return readTarget(text).name;
}

/** The same for a build; the bare name of a job means its newest build. */
export async function buildNameOf(builds: Client<typeof BuildService>, text: string): Promise<string> {
  if (!/^[a-z0-9][a-z0-9-]{0,62}$/.test(text)) return nameOf(text);
  const { builds: found } = await builds.listBuilds({ job: text, pageSize: 1 });
  const newest = found[0];
  if (newest) return newest.name;
  throw new CliError(EXIT.error, `The job ${text} has no build yet. Start one with \`ritmo build run ${text}\`.`);
}
