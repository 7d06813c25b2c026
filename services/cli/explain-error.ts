import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema } from "@ritmo/contract/google/rpc/error_details_pb.js";
import type { Cli } from "./cli.ts";
import { CliError, EXIT } from "./exit-codes.ts";
import { nodeCauseOf } from "./node-cause.ts";
import { sentence } from "./sentence.ts";

/** What to do about a reason of the contract, where a command helps and the server's message does not say it already. */
const REMEDIES: Record<string, string> = {
  JOB_NOT_FOUND: "`ritmo job list` shows what there is.",
  BUILD_NOT_FOUND: "`ritmo build list` shows what there is.",
  STEP_NOT_FOUND: "`ritmo step list BUILD` shows the steps of a build.",
  WORKER_NOT_FOUND: "`ritmo worker list` shows the fleet.",
  JOB_EXISTS: "`ritmo job edit` changes the one there is.",
  WORKER_EXISTS: "`ritmo worker delete` removes the one there is.",
  NO_ATTEMPT: "`ritmo step explain STEP` says why.",
  // Its message says all; to sign in is what was tried.
  SETUP_CODE_INVALID: "",
};

/** What went wrong in one paragraph (what happened, where, what to do), and the exit code it ends with. */
export function explainError(reason: unknown, server: Cli["server"]): { text: string; exitCode: number } {
  if (reason instanceof CliError) return { text: reason.message, exitCode: reason.exitCode };
  if (reason instanceof ConnectError) return explainCall(reason, server ?? { url: "the server", source: "" });
  const cause = reason instanceof Error ? reason.message : String(reason);
  return { text: cause, exitCode: EXIT.error };
}

function explainCall(error: ConnectError, server: NonNullable<Cli["server"]>): { text: string; exitCode: number } {
  const refused = error.code === Code.Unauthenticated || error.code === Code.PermissionDenied;
  const text = unreachable(error, server) ?? notRitmo(error, server) ?? told(error, server);
  return { text, exitCode: refused ? EXIT.refused : EXIT.error };
}

function unreachable(error: ConnectError, { url, source }: NonNullable<Cli["server"]>): string | undefined {
  const cause = nodeCauseOf(error);
  if (!cause) return undefined;
  const why = WORDS[cause.code ?? ""] ?? cause.message;
  return `Ritmo is not to be reached at ${url} (from ${source}): ${why}. Start it on this machine with \`npm start\`, or name another server with --server or RITMO_SERVER.`;
}

const WORDS: Record<string, string> = {
  ECONNREFUSED: "nothing listens there",
  ENOTFOUND: "no such host is known",
  EAI_AGAIN: "the name service does not answer",
  ECONNRESET: "the connection broke",
  ETIMEDOUT: "nothing answers there",
  EHOSTUNREACH: "there is no way to that host",
  UND_ERR_SOCKET: "the connection broke",
};

function notRitmo(error: ConnectError, { url, source }: NonNullable<Cli["server"]>): string | undefined {
  const foreign = error.code === Code.Unimplemented || /unsupported content type|HTTP \d{3}/.test(error.rawMessage);
  if (!foreign || infoOf(error)) return undefined;
  return `What answers at ${url} (from ${source}) does not know this call (${error.rawMessage}): it is not Ritmo, or another version of it.`;
}

function told(error: ConnectError, { url, source }: NonNullable<Cli["server"]>): string {
  const info = infoOf(error);
  const violations = error
    .findDetails(BadRequestSchema)
    .flatMap((detail) => detail.fieldViolations)
    .map(({ field, description }) => `${field}: ${description}`)
    .filter((line) => !error.rawMessage.includes(line));
  // What the command line calls the thing is on the line that was typed; the contract's `name` says nothing more.
  const said = sentence(error.rawMessage.replace(/^name: /, "") || Code[error.code]);
  const where = [info?.reason ?? Code[error.code], `from ${url}`].join(", ");
  const remedy = remedyOf(error, info?.reason, source);
  return [`${said} (${where})${remedy ? ` ${remedy}` : ""}`, ...violations.map((line) => `  ${line}`)].join("\n");
}

function remedyOf(error: ConnectError, reason: string | undefined, source: string): string | undefined {
  const known = reason === undefined ? undefined : REMEDIES[reason];
  if (known !== undefined) return known;
  if (error.code === Code.Unauthenticated)
    return `Sign in with \`ritmo auth login\` (the server is named by ${source}).`;
  if (error.code === Code.PermissionDenied)
    return "Use a token with that scope; `ritmo auth status` shows what yours has.";
  if (error.code === Code.Unavailable || error.code === Code.DeadlineExceeded) return "Try again in a moment.";
  if (error.code === Code.Internal || error.code === Code.Unknown)
    return "This is a fault of the server; its log says more.";
  return undefined;
}

function infoOf(error: ConnectError) {
  return error.findDetails(ErrorInfoSchema)[0];
}
