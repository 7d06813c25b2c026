import { EventEmitter, once } from "node:events";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { Code, type ConnectRouter } from "@connectrpc/connect";
import {
  type Build,
  BuildSchema,
  BuildService,
  BuildState,
  type Step,
  StepSchema,
  StepState,
} from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import { type Event, EventSchema, EventService } from "@ritmo/contract/ritmo/event/v1/event_pb.js";
import { type LineTimeSchema, LogService } from "@ritmo/contract/ritmo/log/v1/log_pb.js";
import { refusal } from "./start-fake-server.ts";

/** A build that moves as a test says, behind the services that a watcher uses. */
export interface FakeBuild {
  build: Build;
  steps: Map<string, Step>;
  step(key: string, state: StepState, more?: MessageInitShape<typeof StepSchema>): void;
  /** Adds to an attempt's log; `at` is when that was read. */
  log(attempt: string, text: string | Uint8Array, at?: string): void;
  endLog(attempt: string): void;
  state(state: BuildState, more?: MessageInitShape<typeof BuildSchema>): void;
  /** How often a log was asked for, and from where. */
  followed: { name: string; offset: number }[];
  routes(router: ConnectRouter): void;
}

export function fakeBuild(keys: string[], given: MessageInitShape<typeof BuildSchema> = {}): FakeBuild {
  const changed = new EventEmitter().setMaxListeners(0);
  const name = given.name ?? "hello#1";
  const build = create(BuildSchema, {
    id: "bld_1",
    name,
    job: "hello",
    number: 1n,
    state: BuildState.RUNNING,
    source: { case: "branch", value: "main" },
    ...given,
  });
  const events: Event[] = [];
  const logs = new Map<string, { bytes: Buffer; over: boolean; times: MessageInitShape<typeof LineTimeSchema>[] }>();
  const followed: FakeBuild["followed"] = [];
  const steps = new Map(
    keys.map((key, position) => [
      key,
      create(StepSchema, {
        id: `stp_${key}`,
        buildId: build.id,
        key,
        name: `${name}/${key}`,
        state: StepState.QUEUED,
        position,
      }),
    ]),
  );
  const stepEvent = (s: Step) => ({
    case: "step" as const,
    value: {
      stepId: s.id,
      name: s.name,
      buildId: s.buildId,
      state: s.state,
      attempt: s.attempt,
      reason: s.reason,
      cause: s.cause,
      ...(s.exitCode === undefined ? {} : { exitCode: s.exitCode }),
    },
  });
  const buildEvent = () => ({
    case: "build" as const,
    value: { buildId: build.id, name, state: build.state, cause: build.cause, reason: build.reason },
  });
  const happen = (subject: ReturnType<typeof stepEvent> | ReturnType<typeof buildEvent>) => {
    events.push(create(EventSchema, { cursor: `c${events.length + 1}`, subject }));
    changed.emit("change");
  };
  const logOf = (attempt: string) => {
    const found = logs.get(attempt) ?? { bytes: Buffer.alloc(0), over: false, times: [] };
    logs.set(attempt, found);
    return found;
  };
  const fullName = (n: string) => n.replace(/^(hello#\d+\/|stp_|att_)/, "");
  return {
    build,
    steps,
    followed,
    step(key, state, more = {}) {
      const step = steps.get(key);
      if (!step) throw new Error(key);
      Object.assign(
        step,
        { attempt: Math.max(step.attempt, state >= StepState.LEASED && state !== StepState.SKIP ? 1 : 0) },
        more,
        { state },
      );
      happen(stepEvent(step));
    },
    log(attempt, text, at) {
      const log = logOf(attempt);
      if (at !== undefined) log.times.push({ offset: BigInt(log.bytes.length), at: timestampFromDate(new Date(at)) });
      log.bytes = Buffer.concat([log.bytes, Buffer.from(text)]);
      changed.emit("change");
    },
    endLog(attempt) {
      logOf(attempt).over = true;
      changed.emit("change");
    },
    state(state, more = {}) {
      Object.assign(build, more, { state });
      happen(buildEvent());
    },
    routes(router) {
      router.service(BuildService, {
        createBuild: () => ({ build }),
        retryBuild: () => ({ build }),
        getBuild: ({ name: asked }) => {
          if (asked === name || asked === build.id || asked.includes("/builds/")) return { build };
          throw refusal(Code.NotFound, "BUILD_NOT_FOUND", `no build is named "${asked}"`);
        },
        listSteps: () => ({ steps: [...steps.values()] }),
        listAttempts: ({ step }) => ({ attempts: attemptsOf(steps, step) }),
        explainStep: () => ({ summary: "No worker has gpu=true.", remedy: "Add one." }),
      });
      router.service(EventService, {
        async *watch({ cursor }, { signal }) {
          let at = cursor === "" ? events.length : Number(cursor.slice(1));
          if (cursor === "") {
            const now = [{ subject: buildEvent() }, ...[...steps.values()].map((s) => ({ subject: stepEvent(s) }))];
            yield { events: now, snapshot: true, snapshotEnd: true, cursor: `c${at}` };
          }
          while (!signal.aborted) {
            const next = events.slice(at);
            at = events.length;
            if (next.length > 0) yield { events: next, cursor: `c${at}` };
            else await once(changed, "change", { signal }).catch(() => {});
          }
        },
      });
      router.service(LogService, {
        getLog: ({ name: asked }) => {
          const log = logOf(newestAttempt(fullName(asked)));
          return { log: { name: asked, bytes: BigInt(log.bytes.length), over: log.over } };
        },
        readLog: ({ name: asked, range }) => {
          const { bytes, times } = logOf(newestAttempt(fullName(asked)));
          const start =
            range.case === "bytes"
              ? Number(range.value.offset)
              : range.case === "lines"
                ? lineStart(bytes, Number(range.value.first))
                : 0;
          // Small answers, so that a reader has to go on.
          const data = bytes.subarray(start, start + 16);
          return {
            data,
            offset: BigInt(start),
            nextOffset: BigInt(start + data.length),
            end: start + data.length >= bytes.length,
            times,
          };
        },
        async *followLog({ name: asked, offset }, { signal }) {
          followed.push({ name: asked, offset: Number(offset) });
          let at = Number(offset);
          const log = logOf(newestAttempt(fullName(asked)));
          while (!signal.aborted) {
            const data = log.bytes.subarray(at);
            if (data.length > 0) yield { data, offset: BigInt(at), times: log.times };
            at += data.length;
            if (log.over && at === log.bytes.length) {
              yield { end: true, offset: BigInt(at) };
              return;
            }
            if (data.length === 0) await once(changed, "change", { signal }).catch(() => {});
          }
        },
        async *searchLog({ name: asked, pattern }) {
          const lines = logOf(newestAttempt(fullName(asked)))
            .bytes.toString()
            .split("\n");
          const hits = lines.flatMap((text, i) => {
            const at = text.search(new RegExp(pattern.value ?? ""));
            return at === -1 ? [] : [{ line: BigInt(i + 1), text, matchStart: at, matchEnd: text.length }];
          });
          yield { hits, end: true };
        },
      });
    },
  };
}

function attemptsOf(steps: Map<string, Step>, id: string) {
  const step = [...steps.values()].find((s) => s.id === id);
  return Array.from({ length: step?.attempt ?? 0 }, (_, i) => ({
    id: `att_${step?.key}@${i + 1}`,
    stepId: id,
    number: i + 1,
    errorLine: "Error: expected 3, got 4",
  }));
}

function newestAttempt(name: string): string {
  if (name.startsWith("http"))
    return `${new URL(name).searchParams.get("step")}@${new URL(name).searchParams.get("attempt") ?? 1}`;
  return name.includes("@") ? name : `${name}@1`;
}

function lineStart(bytes: Buffer, line: number): number {
  let at = 0;
  for (let i = 1; i < line; i++) at = bytes.indexOf(10, at) + 1;
  return at;
}
