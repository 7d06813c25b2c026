import { BuildService } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import { IdentityService } from "@ritmo/contract/ritmo/identity/v1/identity_pb.js";
import { CliError, EXIT, usage } from "./exit-codes.ts";
import type { Server } from "./open-client.ts";

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

/** Whether this is an id, which means the same thing for ever, as a name does not. */
export function isId(text: string): boolean {
  return /^[a-z]{3}_/.test(text);
}

/** The same, where the address is one of this server; refuses that of another, whose things have the same names. */
export async function targetOf(server: Server, text: string): Promise<Target> {
  const target = readTarget(text);
  if (!URL.canParse(target.name) || !/^https?:/i.test(target.name)) return target;
  const asked = originOf(target.name);
  if (asked === originOf(server.settings.server.value)) return target;
  const { url } = await server.client(IdentityService).whoAmI({});
  if (url !== "" && asked === originOf(url)) return target;
  const { value, source } = server.settings.server;
  throw usage(
    `That is an address of ${asked}, and the server in use is ${value} (from ${source}). Name the other one with \`--server ${asked}\`, or change over to it with \`ritmo context use\`.`,
  );
}

/** Of an address, with one spelling for this machine. */
function originOf(address: string): string {
  const url = new URL(address);
  if (["localhost", "[::1]"].includes(url.hostname)) url.hostname = "127.0.0.1";
  return url.origin;
}

/** A name as the server takes it: a web address loses the part that only a page reads. Refuses another server's. */
export async function nameOf(server: Server, text: string): Promise<string> {
  return (await targetOf(server, text)).name;
}

/** The same for a build; the bare name of a job means its newest build. */
export async function buildNameOf(server: Server, text: string): Promise<string> {
  if (!/^[a-z0-9][a-z0-9-]{0,62}$/.test(text)) return nameOf(server, text);
  const { builds: found } = await server.client(BuildService).listBuilds({ job: text, pageSize: 1 });
  const newest = found[0];
  if (newest) return newest.name;
  throw new CliError(EXIT.error, `The job ${text} has no build yet. Start one with \`ritmo build run ${text}\`.`);
}
