import { type BlockFacts, describeBlock, describeRemedy } from "./describe-block.ts";
import { judgeWorker, type Verdict, type VerdictCode, type WorkerFacts } from "./judge-worker.ts";
import type { StepStateName } from "./state-names.ts";

/** All that is needed to say where a step stands. */
export interface StepFacts {
  key: string;
  state: StepStateName;
  cause: string;
  exitCode: number | null;
  cancelRequested: boolean;
  needs: { key: string; over: boolean }[];
  queuePosition: number;
  /** Of the step's pool, whatever they do. */
  workers: WorkerFacts[];
  /** How no worker fits; undefined where one does. */
  block: BlockFacts | undefined;
  wish: { pool: string; requires: string[]; cpuMillis: number; memoryBytes: number };
  worker: string | null;
  /** Keys of the steps that did not succeed and because of which it did not run. */
  becauseOf: string[];
}

export interface Explanation {
  summary: string;
  remedy: string;
  why:
    | { kind: "steps"; steps: string[] }
    | { kind: "worker"; verdicts: Verdict[] }
    | { kind: "runs" }
    | { kind: "over" };
}

// A fleet of thousands would not fit a message; the nearest ones tell the story.
const MAX_VERDICTS = 100;
const NEAREST: VerdictCode[] = [
  "MATCHES_BUSY",
  "DRAINING",
  "OFFLINE",
  "TOO_SMALL",
  "NO_CONTAINER_ENGINE",
  "LABELS_MISSING",
];

/** Why a step is where it is, in words and in facts. */
export function decideExplanation(facts: StepFacts): Explanation {
  if (facts.state === "waiting") return explainWaiting(facts);
  if (facts.state === "queued") return explainQueued(facts);
  if (facts.state === "leased" || facts.state === "running" || facts.state === "finishing")
    return explainRunning(facts);
  return { summary: explainEnd(facts), remedy: "", why: { kind: "over" } };
}

function explainWaiting({ key, needs }: StepFacts): Explanation {
  const steps = needs.filter((need) => !need.over).map((need) => need.key);
  const summary =
    steps.length > 0
      ? `${key} waits for ${listed(steps)}.`
      : `${key} is about to be queued: all that it needs is over.`;
  return { summary, remedy: "", why: { kind: "steps", steps } };
}

function explainQueued(facts: StepFacts): Explanation {
  const verdicts = facts.workers
    .map((worker) => judgeWorker(worker, facts.wish))
    .sort((a, b) => NEAREST.indexOf(a.code) - NEAREST.indexOf(b.code) || (a.worker < b.worker ? -1 : 1))
    .slice(0, MAX_VERDICTS);
  const why = { kind: "worker" as const, verdicts };
  if (facts.block) {
    const remedy = (facts.block.firstDraining ? undefined : remedyOfNearest(verdicts)) ?? describeRemedy(facts.block);
    return { summary: `${facts.key} waits: ${describeBlock(facts.block)}.`, remedy, why };
  }
  const before = facts.queuePosition === 1 ? "1 step is" : `${facts.queuePosition} steps are`;
  const matching = verdicts.filter((verdict) => verdict.code === "MATCHES_BUSY").map((verdict) => verdict.worker);
  return {
    summary: `${facts.key} waits for a free slot of ${listed(matching)}; ${before} before it.`,
    remedy: "",
    why,
  };
}

/** Where a worker would do, were it there: to bring that one back is less than to start another. */
function remedyOfNearest([nearest]: Verdict[]): string | undefined {
  if (nearest?.code === "OFFLINE") return `Start the worker ${nearest.worker}, or another one like it.`;
  return undefined;
}

function explainRunning({ key, state, worker, cancelRequested }: StepFacts): Explanation {
  const doing = {
    leased: "is about to begin on",
    running: "runs on",
    finishing: "delivers its log and artifacts from",
  };
  const stopping = cancelRequested ? "; it is being stopped" : "";
  const summary = `${key} ${doing[state as keyof typeof doing]} ${worker ?? "a worker"}${stopping}.`;
  return { summary, remedy: "", why: { kind: "runs" } };
}

function explainEnd({ key, state, cause, exitCode, worker, becauseOf }: StepFacts): string {
  if (state === "success") return `${key} succeeded${worker ? ` on ${worker}` : ""}.`;
  if (state === "skip" && becauseOf.length > 0)
    return `${key} was skipped, because ${listed(becauseOf)} did not succeed.`;
  if (cause) return sentence(cause);
  const exit = exitCode === null ? "" : ` with exit code ${exitCode}`;
  const words = {
    failure: "failed",
    error: "ended by an error",
    timeout: "ran out of time",
    cancellation: "was cancelled",
  };
  return `${key} ${words[state as keyof typeof words] ?? "was skipped"}${exit}.`;
}

function sentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

/** `a`, `a and b`, `a, b and 7 more`. */
function listed(names: string[]): string {
  if (names.length > 4) return `${names.slice(0, 3).join(", ")} and ${names.length - 3} more`;
  return names.length < 2 ? (names[0] ?? "a worker") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}
