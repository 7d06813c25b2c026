import { type Timestamp, timestampDate } from "@bufbuild/protobuf/wkt";
import {
  type Build,
  BuildSchema,
  BuildState,
  BuildStateSchema,
  type Step,
  StepState,
  StepStateSchema,
} from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import type { BuildEvent } from "@ritmo/contract/ritmo/event/v1/event_pb.js";
import { EXIT } from "../exit-codes.ts";
import type { Io } from "../io.ts";
import { neutralise } from "../neutralise.ts";
import { paint } from "../paint.ts";
import { plainOf, printNdjson } from "../print-json.ts";
import { BUILD_LOOK, isBuildGood, type Look, STEP_LOOK } from "../states.ts";
import { tookText } from "../times.ts";
import { nextCommands } from "./next-commands.ts";
import { sourceText } from "./source-text.ts";

export interface StepFact {
  id: string;
  key: string;
  name: string;
  state: StepState;
  attempt: number;
  exitCode?: number | undefined;
  reason: string;
  cause: string;
  at?: Timestamp | undefined;
}

/** What a watcher is told beside the logs: on stderr for people, on stdout as NDJSON for programs. */
export interface Story {
  begin(build: Build): Promise<void>;
  build(event: BuildEvent, at: Timestamp | undefined): Promise<void>;
  step(fact: StepFact): Promise<void>;
  note(text: string): Promise<void>;
  end(build: Build, steps: Step[], logsComplete: boolean): Promise<void>;
}

/** The story in either form; what to type next names the build by its id where that was asked for. */
export function narrate(io: Io, { json, byId }: { json: boolean; byId: boolean }): Story {
  return json ? inJson(io) : inWords(io, byId);
}

// Waiting, queued and leased pass too fast to be worth a line.
const isWorthALine = (state: StepState) => state === StepState.RUNNING || state >= StepState.SUCCESS;

function inWords(io: Io, byId: boolean): Story {
  const say = (text: string) => io.stderr.write(`${text}\n`);
  const marked = ({ mark, style }: Look, text: string) => `${paint(io, style, mark)} ${neutralise(text)}`;
  return {
    async begin(build) {
      await say(neutralise([build.name, sourceText(build), build.url].filter((part) => part !== "").join("  ")));
    },
    async build({ cancelRequested, state }) {
      if (cancelRequested && state <= BuildState.RUNNING) await say("The build is being cancelled.");
    },
    async step({ key, state, attempt, exitCode, cause }) {
      if (!isWorthALine(state)) return;
      const look = STEP_LOOK[state];
      const again = attempt > 1 ? ` (attempt ${attempt})` : "";
      const code = exitCode ? `, exit code ${exitCode}` : "";
      await say(marked(look, `${key} ${look.word}${again}${code}${cause ? `: ${cause}` : ""}`));
    },
    note: (text) => say(neutralise(text)),
    async end(build, steps, logsComplete) {
      const look = BUILD_LOOK[build.state];
      const took = tookText(build.startedAt ?? build.createdAt, build.finishedAt);
      const cause = build.cause && !isBuildGood(build.state) ? `: ${build.cause}` : "";
      await say(marked(look, `${build.name} ${look.word} after ${took}${cause}`));
      if (!logsComplete)
        await say("Some of the logs did not come to their end here; `ritmo build logs` reads what is kept.");
      for (const command of nextCommands(build, steps, { byId })) await say(`  ${neutralise(command)}`);
    },
  };
}

function inJson(io: Io): Story {
  const time = (at: Timestamp | undefined) => (at ? timestampDate(at).toISOString() : null);
  return {
    begin: (build) => printNdjson(io, { type: "begin", build: plainOf(BuildSchema, build) }),
    build: ({ name, state, reason, cause }, at) =>
      printNdjson(io, { type: "build", at: time(at), build: name, state: buildStateName(state), reason, cause }),
    step: ({ key, state, attempt, exitCode, reason, cause, at }) =>
      printNdjson(io, {
        type: "step",
        at: time(at),
        step: key,
        state: stepStateName(state),
        attempt,
        exitCode: exitCode ?? null,
        reason,
        cause,
      }),
    note: async (text) => {
      await io.stderr.write(`${neutralise(text)}\n`);
    },
    end: (build, _steps, logsComplete) =>
      printNdjson(io, {
        type: "end",
        build: plainOf(BuildSchema, build),
        logsComplete,
        exitCode: isBuildGood(build.state) ? EXIT.good : EXIT.buildFailed,
      }),
  };
}

const buildStateName = (state: BuildState) => BuildStateSchema.value[state]?.localName ?? null;
const stepStateName = (state: StepState) => StepStateSchema.value[state]?.localName ?? null;
