import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { BuildService, type Step, StepState } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import type { StepEvent } from "@ritmo/contract/ritmo/event/v1/event_pb.js";
import { LogKind, LogService } from "@ritmo/contract/ritmo/log/v1/log_pb.js";
import { type Io, OutputClosed } from "../io.ts";
import { type KeepReading, readPatiently } from "../keep-reading.ts";
import { followLog } from "../log/follow-log.ts";
import { type LogPrinter, ndjsonPrinter, plainPrinter, prefixPrinter } from "../log/print-log.ts";
import type { Server } from "../open-client.ts";
import { isStepOver } from "../states.ts";
import { keyOf } from "../step/key-of.ts";
import { findAttempt } from "./find-attempt.ts";
import type { StepFact, Story } from "./narrate.ts";

export interface StepFollower {
  /** The names of steps, so that logs are told apart from the first line on. */
  know(names: string[]): void;
  take(event: StepEvent, at: Timestamp | undefined): void;
  /** Takes in what no event told. */
  catchUp(steps: Step[]): void;
  /** Resolves when the logs of all attempts that began are shown. */
  done(): Promise<true>;
  lastByteAt(): number;
}

interface Options {
  seen: Map<string, number>;
  json: boolean;
  logs: boolean;
  story: Story;
  keep: KeepReading;
}

/** Follows the log of each attempt once, several at a time, and tells a step's end after its log. */
export function followSteps(io: Io, server: Server, { seen, json, logs, story, keep }: Options): StepFollower {
  const builds = server.client(BuildService);
  const known = new Set<string>();
  const followed = new Map<string, Promise<void>>();
  const told = new Set<string>();
  const telling: Promise<void>[] = [];
  let lastByteAt = Date.now();

  const printerOf = (key: string, attempt: number): LogPrinter => {
    if (json) return ndjsonPrinter(io, { step: key, attempt });
    const width = Math.min(20, Math.max(...[...known].map((name) => keyOf(name).length)));
    return known.size > 1 ? prefixPrinter(io, { step: { key, width } }) : plainPrinter(io);
  };
  const follow = async ({ id, key, attempt }: StepFact) => {
    const printer = printerOf(key, attempt);
    try {
      const name = await readPatiently(() => findAttempt(builds, { id, key }, attempt), keep);
      const log = { name, kind: LogKind.STEP, offset: 0n };
      for await (const piece of followLog(server.client(LogService), log, keep)) {
        lastByteAt = Date.now();
        await printer.take(piece);
      }
      await printer.end();
    } catch (reason) {
      if (reason instanceof OutputClosed || keep.signal.aborted) return;
      await story.note(`The log of ${key} can't be followed: ${(reason as Error).message}`);
    }
  };
  const tell = (fact: StepFact) => {
    const what = `${fact.id}@${fact.attempt} ${fact.state}`;
    if (told.has(what)) return;
    told.add(what);
    const before = followed.get(`${fact.id}@${fact.attempt}`) ?? Promise.resolve();
    const saying = isStepOver(fact.state) ? before.then(() => story.step(fact)) : story.step(fact);
    // It can fail only when nobody reads any more, and that ends the whole watch.
    telling.push(saying.catch(() => {}));
  };
  const takeFact = (fact: StepFact) => {
    known.add(fact.name);
    if (isStepOver(fact.state) && (seen.get(fact.id) ?? -1) >= fact.attempt) return;
    const attempt = `${fact.id}@${fact.attempt}`;
    const began = fact.attempt > 0 && fact.state >= StepState.LEASED && fact.state !== StepState.SKIP;
    if (logs && began && !followed.has(attempt)) followed.set(attempt, follow(fact));
    tell(fact);
  };
  return {
    know(names) {
      for (const name of names) known.add(name);
    },
    take: (event, at) => takeFact({ ...event, id: event.stepId, key: keyOf(event.name), at }),
    catchUp(steps) {
      for (const step of steps) known.add(step.name);
      for (const step of steps) takeFact({ ...step, at: step.finishedAt });
    },
    async done() {
      await Promise.allSettled([...followed.values(), ...telling]);
      return true;
    },
    lastByteAt: () => lastByteAt,
  };
}
