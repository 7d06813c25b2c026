import type { Readable } from "node:stream";
import type { Logger } from "../../../process/logger.ts";
import { aborted, sleep } from "../../../process/wait.ts";
import type { AttemptLog } from "../../log/attempt-log.ts";
import { type Container, callEngine, type Engine, EngineTrouble } from "./engine.ts";
import type { OutputFeed } from "./output-feed.ts";
import { pumpStream } from "./pump-stream.ts";
import { watchEngine } from "./watch-engine.ts";

export interface FollowParts {
  engine: Engine;
  container: Container;
  feed: OutputFeed;
  attemptLog: AttemptLog;
  /** How long an engine that is away or does not answer is waited for. */
  patienceMs: number;
  /** Ends the following, when the container could not be ended. */
  signal: AbortSignal;
  log: Logger;
}

export interface ContainerEnd {
  code: number;
  outOfMemory: boolean;
  startedAtMs: number;
  endedAtMs: number;
  /** The engine was away in between, and may have ended the container itself. */
  engineWasAway: boolean;
}

// After the end of a container its output ends too, unless its engine has lost count.
const OUTPUT_ENDS_WITHIN_MS = 10_000;

// Between the end of a container's output and the engine's word that it ended; and between two looks at one whose
// output ended and that still runs.
const ANSWERS_WITHIN_MS = 1_000;

/**
 * Reads a container's output to its last byte and answers how it ended. `live` is a stream that was attached before
 * the start; where it breaks, or there is none, the engine's own copy of the output is read from its beginning, and
 * what is in the log already is left out. Throws EngineTrouble when the engine stays away.
 */
export async function followContainer(parts: FollowParts, live: Readable | undefined): Promise<ContainerEnd> {
  const over = new AbortController();
  const signal = AbortSignal.any([parts.signal, over.signal]);
  const trouble = watchEngine(parts.engine, parts.patienceMs, signal);
  const broken = new AbortController();
  void trouble.then((reason) => reason && broken.abort(reason));
  try {
    return await follow({ ...parts, signal: AbortSignal.any([signal, broken.signal]) }, live);
  } catch (reason) {
    if (broken.signal.aborted) throw broken.signal.reason;
    throw reason;
  } finally {
    over.abort();
  }
}

async function follow(parts: FollowParts, live: Readable | undefined): Promise<ContainerEnd> {
  const { container, signal } = parts;
  let stream = live;
  let engineWasAway = false;
  for (;;) {
    signal.throwIfAborted();
    // It answers when the container ended, and never when its engine went meanwhile: so it tells the two apart.
    const exited = container.wait({ abortSignal: signal }).then(
      () => true,
      () => false,
    );
    const attached = stream !== undefined && stream === live;
    stream ??= await untilAnswered(parts, () => openCopy(parts));
    const read = await readStream(parts, stream, exited);
    stream = undefined;
    const soon = sleep(ANSWERS_WITHIN_MS, signal).then(() => false);
    const inOrder = await Promise.race([exited, soon]);
    const { State } = await untilAnswered(parts, () => inspect(parts));
    // Its commands may have closed their output and go on; the copy's end is then that of the container.
    if (State.Running || State.Paused) continue;
    engineWasAway ||= !(inOrder || (await Promise.race([exited, sleep(ANSWERS_WITHIN_MS, signal).then(() => false)])));
    // The follower of the copy may end before the last lines (moby/moby): read once more what is at rest now.
    if (!attached || !read || !inOrder) {
      await readStream(parts, await untilAnswered(parts, () => openCopy(parts)), Promise.resolve(true));
    }
    return {
      code: State.ExitCode,
      outOfMemory: State.OOMKilled,
      startedAtMs: Date.parse(State.StartedAt),
      endedAtMs: Date.parse(State.FinishedAt),
      engineWasAway,
    };
  }
}

async function readStream(parts: FollowParts, stream: Readable, exited: Promise<boolean>): Promise<boolean> {
  const { feed, attemptLog, signal } = parts;
  const reader = feed.begin();
  const late = new AbortController();
  const read = pumpStream(stream, {
    log: attemptLog,
    take: reader.take,
    hold: () => hold(parts),
    letGo: () => letGo(parts),
    signal: AbortSignal.any([signal, late.signal]),
  });
  const over = new AbortController();
  void exited.then(() => sleep(OUTPUT_ENDS_WITHIN_MS, over.signal)).then(() => late.abort());
  const atEnd = await read;
  over.abort();
  reader.end(atEnd);
  if (reader.headless) {
    throw new EngineTrouble("refused", "the engine's copy of the output has lost its beginning");
  }
  return atEnd;
}

function openCopy({ container, signal }: FollowParts): Promise<Readable> {
  const open = () => container.logs({ follow: true, stdout: true, stderr: true, abortSignal: signal });
  return callEngine("logs", open, { signal });
}

function inspect({ container, signal }: FollowParts) {
  return callEngine("inspect container", (abortSignal) => container.inspect({ abortSignal }), { signal });
}

/** Repeats a call while the engine is away; whoever watches the engine ends it through the signal. */
async function untilAnswered<T>({ signal }: FollowParts, call: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await call();
    } catch (reason) {
      if (!(reason instanceof EngineTrouble) || reason.kind === "refused") throw reason;
      await Promise.race([sleep(250), aborted(signal)]);
      signal.throwIfAborted();
    }
  }
}

async function hold({ container, log }: FollowParts): Promise<boolean> {
  try {
    await callEngine("pause", (abortSignal) => container.pause({ abortSignal }));
    return true;
  } catch (reason) {
    log.debug({ container: container.id, reason: (reason as Error).message }, "a container was not held");
    return false;
  }
}

async function letGo({ container }: FollowParts): Promise<void> {
  await callEngine("unpause", (abortSignal) => container.unpause({ abortSignal })).catch(() => {});
}
