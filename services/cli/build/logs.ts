import { type Client, Code, ConnectError } from "@connectrpc/connect";
import { BuildService, type Step } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import { LogKind, LogService } from "@ritmo/contract/ritmo/log/v1/log_pb.js";
import type { Cli } from "../cli.ts";
import { CliError, EXIT, usage } from "../exit-codes.ts";
import { linkOf } from "../keep-reading.ts";
import { followLog } from "../log/follow-log.ts";
import { type LogPrinter, ndjsonPrinter, plainPrinter, prefixPrinter, rawPrinter } from "../log/print-log.ts";
import { readLines, readLog } from "../log/read-log.ts";
import { searchLog } from "../log/search-log.ts";
import { openServer, type Server } from "../open-client.ts";
import { isStepBad } from "../states.ts";
import { buildNameOf, type LineSpan, type Target, targetOf } from "../target.ts";
import { allSteps } from "./all-steps.ts";
import { findAttempt } from "./find-attempt.ts";

interface Options {
  step?: string;
  attempt?: string;
  failed?: boolean;
  follow?: boolean;
  raw?: boolean;
  timestamps?: boolean;
  lines?: string;
  grep?: string;
  ignoreCase?: boolean;
  prepare?: boolean;
  json?: boolean;
}

/** A log to print: what the server calls it, and what people do. */
interface Wanted {
  name: string;
  key: string;
}

/** Prints what steps wrote: a span, the lines that match, or all of it, once or as it grows. */
export async function buildLogs(cli: Cli, options: Options, [given = ""]: string[]): Promise<void> {
  const asked = options.lines === undefined ? undefined : readSpan(options.lines);
  const attempt = readAttempt(options.attempt);
  refuseContradictions(options);
  const server = openServer(cli);
  const logs = server.client(LogService);
  const target = await targetOf(server, given);
  const span = asked ?? target.lines;
  const wanted = await findLogs(server, options, target, attempt);
  if (wanted.length > 1) refuseSeveral(wanted, options, span);
  const width = Math.min(20, Math.max(0, ...wanted.map(({ key }) => key.length)));
  for (const log of wanted) {
    const printer = printerOf(cli, options, wanted.length > 1 ? { ...log, width } : undefined, log.key);
    await skipUnbegun(wanted.length > 1, () =>
      printOne(cli, logs, { ...options, span, printer, name: log.name, key: log.key }),
    );
  }
}

function refuseContradictions({ grep, lines, follow, raw, json, ignoreCase, timestamps }: Options): void {
  if (timestamps && (raw || grep !== undefined))
    throw usage("--timestamps goes with neither --raw, which adds nothing to the bytes, nor --grep.");
  if (grep !== undefined && (lines !== undefined || follow || raw))
    throw usage("--grep goes with neither --lines, --follow nor --raw.");
  if (lines !== undefined && follow) throw usage("--lines and --follow do not go together.");
  if (raw && json) throw usage("--raw and --json do not go together.");
  if (ignoreCase && grep === undefined) throw usage("--ignore-case needs --grep.");
}

function refuseSeveral(wanted: Wanted[], { raw, follow }: Options, span: LineSpan | undefined): void {
  const option = raw ? "--raw" : follow ? "--follow" : span ? "A span of lines" : undefined;
  if (option) throw usage(`${option} needs one step. Name it with --step: ${wanted.map(({ key }) => key).join(", ")}.`);
}

async function findLogs(
  server: Server,
  options: Options,
  target: Target,
  attempt: number | undefined,
): Promise<Wanted[]> {
  const builds = server.client(BuildService);
  if (target.kind === "attempt" && options.step === undefined) return [{ name: target.name, key: "" }];
  if (target.kind === "step" && options.step === undefined) {
    if (attempt === undefined) return [{ name: target.name, key: "" }];
    const { step } = await builds.getStep({ name: target.name });
    return step ? [await logOf(builds, step, attempt)] : [];
  }
  if (target.kind !== "build") throw usage("--step goes with a build, not with a step.");
  const build = await buildNameOf(server, target.name);
  const steps = await allSteps(builds, build);
  return Promise.all(chooseSteps(steps, options).map((step) => logOf(builds, step, attempt)));
}

/** By ids: once a job was deleted, the names of its steps are nobody's, or another job's. */
async function logOf(builds: Client<typeof BuildService>, step: Step, attempt: number | undefined): Promise<Wanted> {
  return { name: attempt === undefined ? step.id : await findAttempt(builds, step, attempt), key: step.key };
}

function chooseSteps(steps: Step[], { step, failed, attempt }: Options): Step[] {
  if (step !== undefined) {
    const found = steps.find(({ key, id, name }) => [key, id, name].includes(step));
    if (found) return [found];
    const keys = steps.map(({ key }) => key).join(", ") || "none, the build never had a plan";
    throw new CliError(EXIT.error, `The build has no step ${JSON.stringify(step)}. Its steps: ${keys}.`);
  }
  const chosen = failed ? steps.filter((s) => isStepBad(s.state)) : steps.filter((s) => s.attempt > 0);
  if (attempt !== undefined && chosen.length > 1) throw usage("--attempt needs --step.");
  if (chosen.length > 0) return chosen;
  if (failed) throw new CliError(EXIT.error, "No step of this build failed.");
  throw new CliError(
    EXIT.error,
    "No step of this build has begun, so there is no log. `ritmo build view` says how it stands.",
  );
}

function readAttempt(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^[1-9]\d{0,5}$/.test(text)) throw usage(`--attempt ${JSON.stringify(text)} is not a number from 1.`);
  return Number(text);
}

function readSpan(text: string): LineSpan {
  const match = /^([1-9]\d{0,14})(-([1-9]\d{0,14})?)?$/.exec(text);
  const first = Number(match?.[1]);
  const last = match?.[3] ? Number(match[3]) : match?.[2] ? undefined : first;
  if (!match || (last !== undefined && last < first))
    throw usage(`--lines ${JSON.stringify(text)} is not a span like 120-140, 120- or 120.`);
  return last === undefined ? { first } : { first, last };
}

function printerOf(
  { io }: Cli,
  { raw, json, timestamps }: Options,
  among: (Wanted & { width: number }) | undefined,
  key: string,
): LogPrinter {
  if (raw) return rawPrinter(io);
  if (json) return ndjsonPrinter(io, { step: key });
  const step = among && { key: among.key, width: among.width };
  if (!step && !timestamps) return plainPrinter(io);
  return prefixPrinter(io, { ...(step ? { step } : {}), times: timestamps === true });
}

interface One extends Options {
  name: string;
  key: string;
  printer: LogPrinter;
  span: LineSpan | undefined;
}

async function printOne(cli: Cli, logs: Client<typeof LogService>, one: One): Promise<void> {
  const kind = one.prepare ? LogKind.PREPARE : LogKind.STEP;
  const log = { name: one.name, kind };
  if (one.grep !== undefined)
    return searchLog(cli.io, logs, {
      ...log,
      regex: one.grep,
      ignoreCase: one.ignoreCase === true,
      json: one.json === true,
      key: one.key,
    });
  const keep = { signal: cli.io.signal, link: linkOf(cli.io), patient: false };
  const bytes = one.span
    ? readLines(logs, log, one.span)
    : one.follow
      ? followLog(logs, { ...log, offset: 0n }, keep)
      : readLog(logs, log);
  for await (const piece of bytes) await one.printer.take(piece);
  await one.printer.end();
  if (cli.io.signal.aborted) throw new CliError(EXIT.interrupted, "Stopped following.");
}

/** Among several logs one that has not begun is no fault. */
async function skipUnbegun(among: boolean, print: () => Promise<void>): Promise<void> {
  try {
    await print();
  } catch (reason) {
    if (!among || ConnectError.from(reason).code !== Code.NotFound) throw reason;
  }
}
