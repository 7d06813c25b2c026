import { type Build, BuildService } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import { type Event, EventKind, EventService } from "@ritmo/contract/ritmo/event/v1/event_pb.js";
import { sleep } from "../../process/wait.ts";
import type { Cli } from "../cli.ts";
import { CliError, EXIT } from "../exit-codes.ts";
import { type Io, OutputClosed } from "../io.ts";
import { type KeepReading, keepReading, linkOf, readPatiently } from "../keep-reading.ts";
import type { Server } from "../open-client.ts";
import { isBuildGood, isBuildOver } from "../states.ts";
import { isId } from "../target.ts";
import { durationText } from "../times.ts";
import { allSteps } from "./all-steps.ts";
import { explainWaiting } from "./explain-waiting.ts";
import { followSteps, type StepFollower } from "./follow-steps.ts";
import { narrate, type Story } from "./narrate.ts";

export interface WatchOptions {
  /** What the server is asked for: the id where it is known. */
  id: string;
  /** What people type. */
  name: string;
  /** Attempts that are old news, by the step's id: neither told nor their logs shown. */
  seen: Map<string, number>;
  json: boolean;
  logs: boolean;
  timeoutMs?: number;
}

// Once a build is over its logs are complete or about to be; who waits longer waits for what does not come.
const LAST_BYTES_MS = 15_000;

/**
 * Follows a build and the logs of its steps until it is over, across broken connections and restarts of the server.
 * Answers the exit code: 0, or 9 when it did not succeed. Throws CliError with 3 when the time is up, 130 at Ctrl-C.
 */
export async function watchBuild(cli: Cli, server: Server, options: WatchOptions): Promise<number> {
  const late = options.timeoutMs === undefined ? undefined : AbortSignal.timeout(options.timeoutMs);
  const ended = new AbortController();
  const signal = AbortSignal.any([cli.io.signal, ended.signal, ...(late ? [late] : [])]);
  const closed = { yes: false };
  const io = tellClosed(cli.io, () => {
    closed.yes = true;
    ended.abort();
  });
  try {
    const build = await untilOver(io, server, options, signal);
    if (build) return isBuildGood(build.state) ? EXIT.good : EXIT.buildFailed;
  } catch (reason) {
    if (!signal.aborted) throw reason;
  } finally {
    ended.abort();
  }
  // Nobody reads any more, so nobody will learn how it ended: that is not success.
  if (closed.yes) return EXIT.error;
  const again = `\`ritmo build watch ${options.name}\` follows it further.`;
  if (cli.io.signal.aborted) throw new CliError(EXIT.interrupted, `The build goes on; ${again}`);
  throw new CliError(
    EXIT.gaveUp,
    `It is not over after ${durationText(options.timeoutMs ?? 0)}; the build goes on. ${again}`,
  );
}

function tellClosed(io: Io, onClosed: () => void): Io {
  const write = async (data: string | Uint8Array) => {
    try {
      await io.stdout.write(data);
    } catch (reason) {
      if (reason instanceof OutputClosed) onClosed();
      throw reason;
    }
  };
  return { ...io, stdout: { write } };
}

async function untilOver(
  io: Io,
  server: Server,
  options: WatchOptions,
  signal: AbortSignal,
): Promise<Build | undefined> {
  const builds = server.client(BuildService);
  const { build: first } = await builds.getBuild({ name: options.id });
  if (!first) throw new CliError(EXIT.error, "The server answered without a build.");
  const keep = { signal, link: linkOf(io) };
  const story = narrate(io, { json: options.json, byId: isId(options.name) });
  const steps = followSteps(io, server, { ...options, story, keep });
  const waiting = explainWaiting(io, builds);
  await story.begin(first);
  try {
    const build = isBuildOver(first.state)
      ? first
      : await readEvents(server, first.id, { story, steps, waiting, keep });
    if (!build) return undefined;
    const all = await readPatiently(() => allSteps(builds, first.id), keep);
    steps.catchUp(all);
    const inTime = await Promise.race([steps.done(), untilQuiet(steps.lastByteAt, signal)]);
    await story.end(build, all, inTime);
    return build;
  } finally {
    waiting.stop();
  }
}

interface Parts {
  story: Story;
  steps: StepFollower;
  waiting: ReturnType<typeof explainWaiting>;
  keep: KeepReading;
}

/** Reads the build's events until it is over; undefined when it is given up before. */
async function readEvents(server: Server, id: string, parts: Parts): Promise<Build | undefined> {
  const builds = server.client(BuildService);
  let snapshot: Event[] = [];
  for await (const message of watchEvents(server, id, parts.keep)) {
    // Only a whole snapshot tells how many steps there are.
    if (message.snapshot) snapshot.push(...message.events);
    if (message.snapshot && !message.snapshotEnd) continue;
    const over = await takeIn(message.snapshot ? snapshot : message.events, message.snapshot, parts);
    snapshot = [];
    if (!over && !message.snapshotEnd) continue;
    // Events tell what was; a retry may have opened the build again since.
    const { build } = await readPatiently(() => builds.getBuild({ name: id }), parts.keep);
    if (build && isBuildOver(build.state)) return build;
  }
  return undefined;
}

function watchEvents(server: Server, build: string, keep: KeepReading) {
  const events = server.client(EventService);
  let cursor = "";
  const kinds = [EventKind.BUILD, EventKind.STEP];
  return (async function* () {
    for await (const message of keepReading((signal) => events.watch({ cursor, build, kinds }, { signal }), keep)) {
      yield message;
      cursor = message.cursor || message.events.at(-1)?.cursor || cursor;
    }
  })();
}

/** Takes in what happened; true when the build is over by the last word of it. */
async function takeIn(events: Event[], snapshot: boolean, { story, steps, waiting }: Parts): Promise<boolean> {
  let over = false;
  const changes = events.flatMap(({ subject }) => (subject.case === "step" ? [subject.value] : []));
  steps.know(changes.map(({ name }) => name));
  for (const { subject, at } of events) {
    if (subject.case === "build") {
      over = isBuildOver(subject.value.state);
      if (!snapshot) await story.build(subject.value, at);
    }
    if (subject.case === "step") {
      steps.take(subject.value, at);
      waiting.take(subject.value);
    }
  }
  return over && !snapshot;
}

async function untilQuiet(lastByteAt: () => number, signal: AbortSignal): Promise<false> {
  for (;;) {
    const left = lastByteAt() + LAST_BYTES_MS - Date.now();
    if (left <= 0 || signal.aborted) return false;
    await sleep(left, signal);
  }
}
