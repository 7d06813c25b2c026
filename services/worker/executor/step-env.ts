import { join } from "node:path";
import type { Offer } from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import type { Folders } from "../workspace/make-folders.ts";

/** What a step may have of the worker's own environment: where programs are, and how text is written. Empty: unset. */
export interface MachineEnv {
  path: string;
  lang: string;
  /** What RITMO_STEP_ENV names, as far as the worker has it. */
  passed?: Record<string, string>;
}

const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

export function machineEnv(env: Record<string, string | undefined>, passedNames: string[]): MachineEnv {
  const passed = passedNames.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]] as const]));
  return { path: env["PATH"] || DEFAULT_PATH, lang: env["LANG"] || "C.UTF-8", passed: Object.fromEntries(passed) };
}

/**
 * The whole environment of a step: nothing of the worker's passes through but PATH, LANG and what RITMO_STEP_ENV
 * names. What the step sets for itself comes before what a machine gives, and after nothing that begins with RITMO_.
 */
export function stepEnv(offer: Offer, folders: Folders, machine: MachineEnv): Record<string, string> {
  const { build, source, spec } = offer;
  const own = Object.fromEntries((spec?.env ?? []).map(({ name, value }) => [name, value]));
  return {
    ...machine.passed,
    ...(machine.path && { PATH: machine.path }),
    ...(machine.lang && { LANG: machine.lang }),
    HOME: folders.home,
    TMPDIR: folders.tmp,
    CI: "true",
    ...traceEnv(offer.traceContext),
    ...own,
    RITMO: "true",
    RITMO_BUILD_ID: offer.buildId,
    RITMO_BUILD_NUMBER: String(build?.number ?? 0),
    RITMO_JOB: build?.job ?? "",
    RITMO_STEP: spec?.name ?? "",
    RITMO_ATTEMPT: String(offer.attempt),
    RITMO_BRANCH: build?.branch ?? "",
    RITMO_TAG: build?.tag ?? "",
    RITMO_COMMIT: source?.commit ?? "",
    RITMO_URL: build?.url ?? "",
    RITMO_WORKSPACE: folders.workspace,
    RITMO_OUTPUT: join(folders.script, "output"),
    RITMO_FENCING_TOKEN: offer.leaseId,
    // Whoever carries it belongs to the attempt, wherever it went: what ends a step looks for it.
    RITMO_LEASE_ID: offer.leaseId,
  };
}

function traceEnv(context: Record<string, string>): Record<string, string> {
  const { traceparent, tracestate } = context;
  return { ...(traceparent && { TRACEPARENT: traceparent }), ...(tracestate && { TRACESTATE: tracestate }) };
}
