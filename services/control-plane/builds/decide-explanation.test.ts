import { expect, test } from "vitest";
import { decideExplanation, type StepFacts } from "./decide-explanation.ts";
import type { BlockFacts } from "./describe-block.ts";
import { judgeWorker, type WorkerFacts } from "./judge-worker.ts";

const PROCESS = "ritmo/executor=process";
const DOCKER = "ritmo/executor=docker";
const SEEN = new Date("2026-03-04T05:06:07Z");

const worker = (change: Partial<WorkerFacts> = {}): WorkerFacts => ({
  id: "wrk_1",
  name: "local",
  state: "online",
  draining: false,
  drainReason: "",
  labels: ["os=linux", PROCESS],
  cpuMillis: 4_000,
  memoryBytes: 8 * 2 ** 30,
  slots: 2,
  busy: 0,
  lastSeenAt: SEEN,
  ...change,
});
const wish = (change: Partial<StepFacts["wish"]> = {}) => ({
  pool: "default",
  requires: [PROCESS],
  cpuMillis: 0,
  memoryBytes: 0,
  ...change,
});

test.each<[string, Partial<WorkerFacts>, Partial<StepFacts["wish"]>, string, string]>([
  ["a missing label", {}, { requires: ["gpu=true", PROCESS] }, "LABELS_MISSING", "lacks gpu=true"],
  [
    "another value",
    { labels: ["gpu=false", PROCESS] },
    { requires: ["gpu=true", PROCESS] },
    "LABELS_MISSING",
    "lacks gpu=true (it has gpu=false)",
  ],
  [
    "no container engine",
    {},
    { requires: [DOCKER] },
    "NO_CONTAINER_ENGINE",
    "has no container engine, which the step's image needs",
  ],
  ["containers alone", { labels: [DOCKER] }, {}, "LABELS_MISSING", "runs no plain processes, only containers"],
  ["few CPUs", {}, { cpuMillis: 8_000 }, "TOO_SMALL", "has 4 CPUs and 8 GiB of memory; the step reserves 8 CPUs"],
  [
    "little memory",
    {},
    { memoryBytes: 2 ** 34 },
    "TOO_SMALL",
    "has 4 CPUs and 8 GiB of memory; the step reserves 16 GiB of memory",
  ],
  ["a worker that went", { state: "offline" }, {}, "OFFLINE", "offline since 2026-03-04 05:06 UTC"],
  [
    "a worker that never came",
    // Of its machine nothing is known yet.
    { state: "new", lastSeenAt: null, labels: ["gpu=true"] },
    { requires: ["gpu=true", "ritmo/executor=process"] },
    "OFFLINE",
    "was made, and its process has never called",
  ],
  ["a drain with a reason", { draining: true, drainReason: "new disk" }, {}, "DRAINING", "draining: new disk"],
  ["a drain of its own", { state: "draining" }, {}, "DRAINING", "draining"],
  ["busy slots", { busy: 2 }, {}, "MATCHES_BUSY", "all 2 slots are busy"],
  ["a free slot", { busy: 1 }, {}, "MATCHES_BUSY", "has a free slot (1 of 2 busy) and is about to be offered the step"],
])("%s", (_, has, wants, code, text) => {
  expect(judgeWorker(worker(has), wish(wants))).toEqual({ worker: "local", workerId: "wrk_1", code, text });
});

test("a label that is missing counts before anything that may pass", () => {
  const away = worker({ state: "offline", draining: true });
  expect(judgeWorker(away, wish({ requires: ["gpu=true"] })).code).toBe("LABELS_MISSING");
});

const facts = (change: Partial<StepFacts>): StepFacts => ({
  key: "train",
  state: "queued",
  cause: "",
  exitCode: null,
  cancelRequested: false,
  needs: [],
  queuePosition: 0,
  workers: [],
  block: undefined,
  wish: wish(),
  worker: null,
  becauseOf: [],
  ...change,
});
const block = (change: Partial<BlockFacts> = {}): BlockFacts => ({
  pool: "default",
  requires: [PROCESS],
  cpuMillis: 0,
  memoryBytes: 0,
  online: 1,
  missing: [],
  labelled: 0,
  draining: 0,
  firstDraining: null,
  lastSeenAt: null,
  ...change,
});
const explain = (change: Partial<StepFacts>) => {
  const { summary, remedy } = decideExplanation(facts(change));
  return [summary, remedy];
};

test.each<[string, Partial<BlockFacts>, string, string]>([
  [
    "a label nobody has",
    { requires: ["gpu=true", PROCESS], missing: ["gpu=true"] },
    "train waits: no worker has gpu=true.",
    "Start a worker with --labels gpu=true (ritmo worker create NAME --labels gpu=true).",
  ],
  [
    "a label that somebody had, in a pool",
    { pool: "big", requires: ["gpu=true", "os=linux", PROCESS], missing: ["gpu=true"], lastSeenAt: SEEN },
    "train waits: no worker in the pool big has gpu=true; one that could was last seen 2026-03-04 05:06 UTC.",
    "Start a worker with --pool big --labels gpu=true,os=linux (ritmo worker create NAME --pool big --labels gpu=true,os=linux).",
  ],
  [
    "labels that nobody has together",
    { requires: ["gpu=true", "os=linux", PROCESS] },
    "train waits: no worker has gpu=true and os=linux together.",
    "Start a worker with --labels gpu=true,os=linux (ritmo worker create NAME --labels gpu=true,os=linux).",
  ],
  [
    "no container engine anywhere",
    { requires: [DOCKER], missing: [DOCKER] },
    "train waits: no worker has a container engine.",
    "Start a worker on a machine with a container engine (ritmo worker create NAME).",
  ],
  [
    "nobody there",
    { online: 0, missing: [PROCESS] },
    "train waits: no worker is online.",
    "Start a worker (ritmo worker create NAME).",
  ],
  [
    "nobody large enough",
    { labelled: 1, cpuMillis: 1_000, memoryBytes: 2 ** 36 },
    "train waits: no worker has 1 CPU and 64 GiB of memory.",
    "Start a worker with 1 CPU and 64 GiB of memory, or ask for less in `resources`.",
  ],
])("blocked: %s", (_, change, summary, remedy) => {
  expect(explain({ block: block(change) })).toEqual([summary, remedy]);
});

test.each([
  [1, "the only worker that could, local, is draining: kernel update", "kernel update"],
  [1, "the only worker that could, local, is draining", ""],
  [3, "3 workers that could are draining", "kernel update"],
])("workers that could and drain are told: %i, %s", (draining, cause, reason) => {
  const facts = block({ online: 0, missing: [PROCESS], draining, firstDraining: { name: "local", reason } });
  expect(explain({ block: facts, workers: [worker({ draining: true })] })).toEqual([
    `train waits: ${cause}.`,
    "`ritmo worker resume local` ends that.",
  ]);
});

test("where a worker would do, were it there, that is the remedy", () => {
  const blocked = { block: block({ online: 0, missing: [PROCESS] }) };
  expect(explain({ ...blocked, workers: [worker({ state: "offline" })] })[1]).toBe(
    "Start the worker local, or another one like it.",
  );
});

test("a queue before it needs no remedy", () => {
  const busy = { workers: [worker({ busy: 2 }), worker({ name: "other", labels: [] })] };
  expect(explain({ ...busy, queuePosition: 3 })).toEqual([
    "train waits for a free slot of local; 3 steps are before it.",
    "",
  ]);
  expect(explain({ ...busy, queuePosition: 1 })).toEqual([
    "train waits for a free slot of local; 1 step is before it.",
    "",
  ]);
});

test("of a large fleet the nearest workers are told", () => {
  const workers = Array.from({ length: 5_000 }, (_, n) =>
    worker({ name: `w${n}`, labels: n === 4_321 ? [PROCESS] : [] }),
  );
  const { why } = decideExplanation(facts({ workers }));
  expect(why).toMatchObject({
    kind: "worker",
    verdicts: { length: 100, 0: { worker: "w4321", code: "MATCHES_BUSY" } },
  });
});

test.each<[Partial<StepFacts>, string]>([
  [
    {
      state: "waiting",
      needs: [
        { key: "a", over: true },
        { key: "b", over: false },
      ],
    },
    "train waits for b.",
  ],
  [
    { state: "waiting", needs: [..."abcdef"].map((key) => ({ key, over: false })) },
    "train waits for a, b, c and 3 more.",
  ],
  [{ state: "waiting" }, "train is about to be queued: all that it needs is over."],
  [{ state: "leased", worker: "local" }, "train is about to begin on local."],
  [{ state: "running", worker: "local" }, "train runs on local."],
  [{ state: "running", worker: "local", cancelRequested: true }, "train runs on local; it is being stopped."],
  [{ state: "finishing", worker: "local" }, "train delivers its log and artifacts from local."],
  [{ state: "success", worker: "local" }, "train succeeded on local."],
  [{ state: "failure", exitCode: 3 }, "train failed with exit code 3."],
  [{ state: "failure", exitCode: 3, cause: "npm test failed with exit code 3" }, "npm test failed with exit code 3."],
  [{ state: "timeout" }, "train ran out of time."],
  [{ state: "skip", becauseOf: ["compile", "lint"] }, "train was skipped, because compile and lint did not succeed."],
  [{ state: "cancellation", cause: "Not needed any more." }, "Not needed any more."],
])("case %#: %j", (change, summary) => expect(explain(change)).toEqual([summary, ""]));
